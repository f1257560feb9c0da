/* Whether another start of the worker in this boot is in vain: `futile-start TPM FILE`.
 *
 * A worker extends PCR 15 with its start, once in a boot, and no other start attests after it (E48). Before it does, it
 * writes the value that PCR 15 then has into FILE, 64 hexadecimal digits. If PCR 15 has this value, status 0: only a
 * reboot helps. Status 1 is everything else: another value, no file, a TPM that cannot be read or does not answer in
 * time. Then the worker starts, and finds out itself; this program never gives up a boot that it is not sure about.
 *
 * A file from an earlier boot cannot have the value of this one: the event has a key that was made at random.
 * Sources: TPM 2.0 Library, Part 3, TPM2_PCR_Read; Part 2, TPML_PCR_SELECTION, TPML_DIGEST.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FUTILE 0
#define START 1
#define DIGEST 32
#define TIMEOUT_MS 150
#define ANSWER (10 + 4 + 10 + 4 + 2 + DIGEST)

/* TPM2_PCR_Read of one selection: SHA-256, PCR 15 */
static const unsigned char read_pcr15[] = {
    0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e, 0, 0, 0, 1, 0x00, 0x0b, 3, 0x00, 0x80, 0x00,
};
/* what comes back before the counter of updates, and between it and the digest */
static const unsigned char success[] = {0x80, 0x01, 0, 0, 0, ANSWER, 0, 0, 0, 0};
static const unsigned char selected[] = {0, 0, 0, 1, 0x00, 0x0b, 3, 0x00, 0x80, 0x00, 0, 0, 0, 1, 0, DIGEST};

static int read_pcr(const char *device, unsigned char digest[DIGEST])
{
    unsigned char answer[ANSWER + 1];
    int tpm = open(device, O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tpm < 0 || write(tpm, read_pcr15, sizeof read_pcr15) != sizeof read_pcr15)
        return -1;
    struct pollfd ready = {.fd = tpm, .events = POLLIN};
    if (poll(&ready, 1, TIMEOUT_MS) != 1 || read(tpm, answer, sizeof answer) != ANSWER)
        return -1;
    if (memcmp(answer, success, sizeof success) != 0 || memcmp(answer + 14, selected, sizeof selected) != 0)
        return -1;
    memcpy(digest, answer + 14 + sizeof selected, DIGEST);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned char digest[DIGEST];
    char found[2 * DIGEST + 2], value[2 * DIGEST + 1];
    if (argc != 3)
        return START;
    int file = open(argv[2], O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0 || read(file, found, sizeof found) != 2 * DIGEST)
        return START;
    if (read_pcr(argv[1], digest) != 0)
        return START;
    for (int i = 0; i < DIGEST; i++)
        snprintf(value + 2 * i, 3, "%02x", digest[i]);
    if (memcmp(found, value, 2 * DIGEST) != 0)
        return START;
    puts("A worker has started in this boot, and no other can attest: the machine reboots.");
    return FUTILE;
}
