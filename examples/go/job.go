package main

// Seals a job, runs it, compares it with its receipt and opens its result. Numbers in brackets are sections of
// docs/format.md. The operation is `validate` by the NCIC tables; the CSV file has columns of person/1.
//
// One check is left to others: `cji evidence verify out/evidence.json` appraises the machine to which the receipt's key
// belongs. Do not rely on a result before it has accepted.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	workerv1 "cji.worker/v1"
	"github.com/apache/arrow-go/v18/arrow"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	inputName   = "records"
	inputSchema = "person/1"
	deadline    = 10 * time.Minute
	mostBytes   = 1 << 30 // of a result
)

// Lines `name = value`. Names of files are relative to the folder of the settings.
type settings struct {
	folder string
	values map[string]string
}

func readSettings(path string) (settings, error) {
	data, err := os.ReadFile(path)
	found := settings{filepath.Dir(path), map[string]string{"suite": classical}}
	for line := range strings.Lines(string(data)) {
		if name, value, isSetting := strings.Cut(line, "="); isSetting && !strings.HasPrefix(line, "#") {
			found.values[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return found, err
}

func (s settings) file(name string) ([]byte, error) {
	path := s.values[name]
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.folder, path)
	}
	return os.ReadFile(path)
}

func (s settings) roots(name string) (*x509.CertPool, error) {
	data, err := s.file(name)
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(data) {
		err = fmt.Errorf("%s has no certificate", name)
	}
	return roots, err
}

func (s settings) connect() (*grpc.ClientConn, error) {
	roots, err := s.roots("ca")
	if err != nil {
		return nil, err
	}
	chain, err := s.file("certificate")
	if err != nil {
		return nil, err
	}
	key, err := s.file("private_key")
	if err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{own}}
	return grpc.NewClient(s.values["target"], grpc.WithTransportCredentials(credentials.NewTLS(secure)))
}

// The keys of this submitter: one that signs, one that opens results.
func (s settings) keys() (signing signer, opening recipient, err error) {
	for _, name := range []string{"signing_key", "recipient_key"} {
		data, err := s.file(name)
		if err != nil {
			return signing, opening, err
		}
		signs, opens, err := privateKeys(data)
		if err != nil {
			return signing, opening, err
		}
		if name == "signing_key" {
			signing = signs
		} else {
			opening = opens
		}
	}
	return signing, opening, nil
}

// [4] The worker's keys from Describe, if they are those that its operator named out of band.
func pinned(ctx context.Context, worker workerv1.CjiWorkerClient, given settings) (key, kem jwk, err error) {
	described, err := worker.Describe(ctx, &workerv1.DescribeRequest{})
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(described.Keys, func(each *workerv1.KeyDescription) bool { return each.KekId == given.values["kek_id"] })
	if at < 0 || described.Audience != given.values["audience"] {
		return nil, nil, errors.New("the worker has another key or audience")
	}
	if key, err = pinnedKey(described.Keys[at].PublicJwk, given.values["kek_thumbprint"]); err == nil && given.values["suite"] == hybrid {
		kem, err = pinnedKey(described.Keys[at].MlKemJwk, given.values["ml_kem_thumbprint"])
	}
	return key, kem, err
}

func pinnedKey(text, thumbprint string) (jwk, error) {
	key, err := parseJWK(text)
	if err == nil && key.thumbprint() != thumbprint {
		err = errors.New("the worker has another key than the pinned one")
	}
	return key, err
}

// [8] The worker's answer to a new nonce, and the file that `cji evidence verify` reads.
func attest(ctx context.Context, worker workerv1.CjiWorkerClient, given settings) (*workerv1.AttestResponse, []byte, error) {
	nonce := random(32)
	answer, err := worker.Attest(ctx, &workerv1.AttestRequest{Nonce: nonce})
	if err != nil {
		return nil, nil, err
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if given.values["maa_ca"] != "" {
		if secure.RootCAs, err = given.roots("maa_ca"); err != nil {
			return nil, nil, err
		}
	}
	provider := http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: secure}}
	certs, err := provider.Get(given.values["maa_url"] + "/certs")
	if err != nil {
		return nil, nil, err
	}
	defer certs.Body.Close()
	keys, err := io.ReadAll(io.LimitReader(certs.Body, 1<<20))
	if err != nil {
		return nil, nil, err
	}
	base64 := base64.StdEncoding.EncodeToString
	shown, err := json.MarshalIndent(map[string]any{
		"version": 6, "cloud": given.values["cloud"], "attested_at": time.Now().UTC(), "nonce": base64(nonce),
		"nonce_path": base64(answer.NoncePath), "evidence": base64(answer.Evidence), "token_nonce": base64(answer.TokenNonce),
		"token_evidence": base64(answer.TokenEvidence), "receipt_jwk": answer.ReceiptJwk, "maa_token": answer.MaaToken,
		"maa_url": given.values["maa_url"], "jwks": base64(keys), "reference": "", "bundle_update": answer.BundleUpdate,
	}, "", "  ")
	return answer, shown, err
}

// [1] The header and its bytes, serialized once.
func newHeader(given settings, signing signer, dataKey, wrapped []byte, rows int) (*workerv1.JobHeader, []byte, error) {
	of := given.values
	attribution, err := canonical(&workerv1.Attribution{OperatorId: of["operator_id"], Requestor: of["requestor"], Reason: of["reason"]})
	if err != nil {
		return nil, nil, err
	}
	recipient, err := parseJWK(of["recipient_jwk"])
	if err != nil {
		return nil, nil, err
	}
	suite := workerv1.Suite_CLASSICAL_1
	if of["suite"] == hybrid {
		suite = workerv1.Suite_HYBRID_1
	}
	now := time.Now().UTC().Truncate(time.Second)
	validate := &workerv1.Validate{RuleSet: "ncic/1", AsOf: now.Format(time.DateOnly)}
	job := &workerv1.JobHeader{
		Version:           1,
		JobId:             random(16),
		Audience:          of["audience"],
		OriginatingOri:    of["originating_ori"],
		RequestingOri:     of["requesting_ori"],
		SealedAttribution: boxed(dataKey, "attribution", padded(attribution)),
		Suite:             suite,
		Submitter:         signing.public(of["suite"]).digest(),
		PurposeCode:       of["purpose_code"],
		Inputs:            []*workerv1.InputPart{{Name: inputName, Schema: inputSchema, RowsDeclared: proto.Uint64(uint64(rows))}},
		Operations:        []*workerv1.Operation{{Operation: &workerv1.Operation_Validate{Validate: validate}}},
		KekId:             of["kek_id"],
		WrappedDek:        wrapped,
		Recipients:        []*workerv1.Recipient{{KeyId: recipient.thumbprint(), Jwk: of["recipient_jwk"]}},
		Created:           timestamppb.New(now),
		NotAfter:          timestamppb.New(now.Add(time.Hour)),
		SizeClass:         workerv1.SizeClass_EXACT,
	}
	data, err := canonical(job)
	return job, data, err
}

// [2], [6] The first message of a run: its first attempt, for the worker that sent this nonce with its evidence.
func newOpen(suite string, signing signer, header []byte, attested *workerv1.AttestResponse) (*workerv1.Open, error) {
	receiptKey, err := parseJWK(attested.ReceiptJwk)
	if err != nil {
		return nil, err
	}
	signature, err := signing.sign(suite, jobMessage(header))
	if err != nil {
		return nil, err
	}
	admission := &workerv1.Admission{Nonce: attested.AdmissionNonce, ReceiptKey: receiptKey.digest(), Attempt: 1}
	admission.Signature, err = signing.sign(suite, admissionMessage(admission.Nonce, receiptKey, header, 1))
	return &workerv1.Open{Header: header, Signature: signature, Admission: admission}, err
}

type received struct {
	parts   map[uint32][][]byte // sealed segments, by the number of the part
	receipt string
	header  []byte
}

// [6] Sends open, segments and finish, and meanwhile receives the segments of the outputs, then the receipt.
func exchange(ctx context.Context, worker workerv1.CjiWorkerClient, open *workerv1.Open, segments [][]byte) (received, error) {
	found := received{parts: map[uint32][][]byte{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := worker.Run(ctx)
	if err != nil {
		return found, err
	}
	go send(stream, open, segments) // what fails here fails below too, with the reason
	for bytes := 0; ; {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) && found.receipt != "" {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if segment := response.GetSegment(); segment != nil {
			if len(segment.Data) < overheadBytes { // an empty one costs memory too
				return found, errors.New("the result has a segment that is too short")
			}
			found.parts[segment.Part] = append(found.parts[segment.Part], segment.Data)
			bytes += len(segment.Data)
		}
		if done := response.GetDone(); done != nil {
			found.receipt, found.header = done.Receipt, done.ResultHeader
		}
		if bytes > mostBytes {
			return found, errors.New("the result has more bytes than the job can make")
		}
	}
}

func send(stream workerv1.CjiWorker_RunClient, open *workerv1.Open, segments [][]byte) {
	requests := []*workerv1.RunRequest{{Message: &workerv1.RunRequest_Open{Open: open}}}
	for i, data := range segments {
		segment := &workerv1.Segment{Index: uint64(i), Data: data}
		requests = append(requests, &workerv1.RunRequest{Message: &workerv1.RunRequest_Segment{Segment: segment}})
	}
	requests = append(requests, &workerv1.RunRequest{Message: &workerv1.RunRequest_Finish{Finish: &workerv1.Finish{}}})
	for _, request := range requests {
		if stream.Send(request) != nil {
			return
		}
	}
	stream.CloseSend()
}

func digestOf(name string, data [][]byte) partDigest {
	whole := slices.Concat(data...)
	digest := sha256.Sum256(whole)
	return partDigest{token(name), hex64(hex.EncodeToString(digest[:])), int64(len(whole))}
}

func bytesOf(parts []partDigest) (sum int64) {
	for _, part := range parts {
		sum += part.Bytes
	}
	return sum
}

// [8] An error unless the receipt states what was sent and received here.
func compare(found receiptClaims, given settings, job *workerv1.JobHeader, header []byte, sent [][]byte, answer received, result *workerv1.ResultHeader) error {
	expected := found // with the values that are ours
	expected.JobID, expected.Header = hex32(hex.EncodeToString(job.JobId)), hex96(hex.EncodeToString(sha384(header)))
	expected.ResultHeader = hex96(hex.EncodeToString(sha384(answer.header)))
	expected.Inputs, expected.Outputs = []partDigest{digestOf(inputName, sent)}, nil
	for n, output := range result.Outputs {
		expected.Outputs = append(expected.Outputs, digestOf(output.Name, answer.parts[uint32(n)]))
	}
	expected.Worker = token(result.WorkerId)
	expected.Volumes.BytesIn, expected.Volumes.BytesOut = bytesOf(expected.Inputs), bytesOf(expected.Outputs)
	expected.SubmitterKey = keyID(base64url.EncodeToString(job.Submitter))
	expected.Originating, expected.Requesting = ori(job.OriginatingOri), ori(job.RequestingOri)
	expected.Purpose, expected.KekID = code(job.PurposeCode), url(job.KekId)
	expected.Operations, expected.Recipients = []token{"validate"}, []keyID{keyID(job.Recipients[0].KeyId)}
	expected.Suite, expected.Simulated = suiteID(given.values["suite"]), given.values["simulated"] == "true"
	expected.ColumnKeys, expected.Tasks, expected.Privacy = nil, nil, nil
	ours, err := json.Marshal(expected)
	if err != nil {
		return err
	}
	theirs, err := json.Marshal(found)
	if err == nil && !bytes.Equal(ours, theirs) {
		err = fmt.Errorf("the receipt states %s, and here was %s", theirs, ours)
	}
	return err
}

// [8] The counts of rows, which the cell states, against the rows of the opened outputs.
func compareCounts(stated volumes, rows map[string]int64) error {
	for _, each := range []struct {
		name            string
		stated, counted int64
	}{
		{"rows_in", stated.RowsIn, rows["row_status"]},
		{"rows_out", stated.RowsOut, rows["result"]},
		{"chri_rows_out", stated.CHRI, 0}, // findings are no criminal history
		{"subjects_out", stated.Subjects, rows["result"]},
	} {
		if each.stated != each.counted {
			return fmt.Errorf("volumes: the receipt states another %s than the %d that were counted. Do not use this result", each.name, each.counted)
		}
	}
	return nil
}

func run(path, csv, out string) error {
	given, err := readSettings(path)
	if err != nil {
		return err
	}
	connection, err := given.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	files, err := runJob(ctx, workerv1.NewCjiWorkerClient(connection), given, csv)
	if refusal, isStatus := status.FromError(err); isStatus && err != nil {
		return errors.New(refusal.Message())
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(out, name), data, 0o600); err != nil {
			return err
		}
	}
	return show(files["result.arrows"])
}

// All files of a job: its header, its receipt, the evidence, and its outputs.
func runJob(ctx context.Context, worker workerv1.CjiWorkerClient, given settings, csv string) (map[string][]byte, error) {
	signing, opening, err := given.keys()
	if err != nil {
		return nil, err
	}
	key, kem, err := pinned(ctx, worker, given)
	if err != nil {
		return nil, err
	}
	plain, rows, err := records(csv, inputSchema)
	if err != nil {
		return nil, err
	}
	dataKey, wrapped, err := newDataKey(key, kem)
	if err != nil {
		return nil, err
	}
	job, header, err := newHeader(given, signing, dataKey, wrapped, rows)
	if err != nil {
		return nil, err
	}
	sent := sealed(dataKey, inputAAD(header, 0), plain)
	attested, evidence, err := attest(ctx, worker, given)
	if err != nil {
		return nil, err
	}
	open, err := newOpen(given.values["suite"], signing, header, attested)
	if err != nil {
		return nil, err
	}
	answer, err := exchange(ctx, worker, open, sent)
	if err != nil {
		return nil, err
	}
	files, err := openResult(given, opening, job, header, sent, attested.ReceiptJwk, answer)
	if err == nil {
		files["header.bin"], files["receipt.jws"], files["evidence.json"] = header, []byte(answer.receipt), evidence
	}
	return files, err
}

// [7] Nothing is opened before the receipt is verified, and nothing returned before its rows are counted.
func openResult(given settings, opening recipient, job *workerv1.JobHeader, header []byte, sent [][]byte, receiptJWK string, answer received) (map[string][]byte, error) {
	key, err := parse(receiptJWK, verifyingKey)
	if err != nil {
		return nil, err
	}
	found, err := verifyReceipt(answer.receipt, key)
	if err != nil {
		return nil, err
	}
	result, _, err := readResultHeader(answer.header, header)
	if err != nil {
		return nil, err
	}
	if err := compare(found, given, job, header, sent, answer, result); err != nil {
		return nil, err
	}
	resultKey, err := opening.resultKey(given.values["suite"], result.Recipients[0].WrappedDek, header)
	if err != nil {
		return nil, err
	}
	files, rows := map[string][]byte{}, map[string]int64{}
	for n, output := range result.Outputs {
		plain, err := opened(resultKey, outputAAD(answer.header, n), answer.parts[uint32(n)])
		if err != nil {
			return nil, err
		}
		count, _, err := table(plain, false)
		if err != nil {
			return nil, err
		}
		files[output.Name+".arrows"], rows[output.Name] = plain, int64(count)
	}
	return files, compareCounts(found.Volumes, rows)
}

// The findings, one a line.
func show(result []byte) error {
	_, batches, err := table(result, false)
	for _, batch := range batches {
		columns := map[string]arrow.Array{}
		for i, field := range batch.Schema().Fields() {
			columns[field.Name] = batch.Column(i)
		}
		for i := range int(batch.NumRows()) {
			fmt.Printf("row %s: %s %s\n", columns["row"].ValueStr(i), columns["column"].ValueStr(i), columns["code"].ValueStr(i))
		}
	}
	return err
}
