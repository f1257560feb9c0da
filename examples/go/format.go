package main

// The bytes of a sealed job: streams and boxes. Numbers in brackets are sections of docs/format.md.

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"slices"
)

const (
	segmentBytes  = 1 << 20     // E
	overheadBytes = 4 + 12 + 16 // length, siv, tag
	plainBytes    = segmentBytes - overheadBytes
	headerBytes   = 10 + 32 + 32
	rotation      = 1<<20 - 1
)

var be = binary.BigEndian

// [3] P
var parameters = be.AppendUint32(be.AppendUint32([]byte{0, 0}, segmentBytes), 32)

func sha384(data []byte) []byte {
	digest := sha512.Sum384(data)
	return digest[:]
}

func random(n int) []byte {
	made := make([]byte, n)
	rand.Read(made) // ends the program where it cannot
	return made
}

func u32(n int) []byte { return be.AppendUint32(nil, uint32(n)) }

// HKDF-Expand of RFC 5869 with SHA-384. It fails for impossible lengths alone.
func expand(key []byte, n int, info ...[]byte) []byte {
	made, err := hkdf.Expand(sha512.New384, key, string(slices.Concat(info...)), n)
	if err != nil {
		panic(err)
	}
	return made
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// [4] A small secret of the job under its data key.
func boxed(dataKey []byte, purpose string, plain []byte) []byte {
	iv := random(12)
	return gcm(boxKey(dataKey, purpose)).Seal(iv, iv, plain, nil)
}

func unboxed(dataKey []byte, purpose string, box []byte) ([]byte, error) {
	if len(box) < 12 {
		return nil, errors.New("the box is too short")
	}
	return gcm(boxKey(dataKey, purpose)).Open(nil, box[:12], box[12:], nil)
}

func boxKey(dataKey []byte, purpose string) []byte {
	return expand(dataKey, 32, []byte("cji-box/1\x00"+purpose))
}

// [1] Zeros up to the next multiple of 256.
func padded(data []byte) []byte {
	return append(data, make([]byte, -len(data)&255)...)
}

// [3] The AAD of part n: of an input with the job's header, of an output with the result's.
func inputAAD(header []byte, n int) []byte {
	return slices.Concat([]byte("cji-part/1\x00"), sha384(header), u32(n))
}

func outputAAD(header []byte, n int) []byte {
	return slices.Concat([]byte("cji-result/1\x00"), sha384(header), u32(n))
}

// [3] One stream: beginning is P ‖ iv.
type floe struct{ key, beginning, aad []byte }

func (f floe) derive(from []byte, n int, purpose ...[]byte) []byte {
	return expand(from, n, slices.Concat([][]byte{f.beginning}, purpose, [][]byte{f.aad})...)
}

func (f floe) tag() []byte        { return f.derive(f.key, 32, []byte("HEADER_TAG:")) }
func (f floe) messageKey() []byte { return f.derive(f.key, 48, []byte("MESSAGE_KEY:")) }

func (f floe) dek(messageKey []byte, i uint64) []byte {
	return f.derive(messageKey, 32, []byte("DEK:"), be.AppendUint64(nil, i&^rotation))
}

func (f floe) segment(messageKey []byte, i int, last bool) (cipher.AEAD, []byte) {
	aad := append(be.AppendUint64(nil, uint64(i)), 0)
	if last {
		aad[8] = 1
	}
	return gcm(f.dek(messageKey, uint64(i))), aad
}

// [3] The data of each Segment message of one part. There is always a last segment, which may be empty.
func sealed(key, aad, plain []byte) [][]byte {
	pieces := slices.Collect(slices.Chunk(plain, plainBytes))
	if len(pieces) == 0 {
		pieces = [][]byte{nil}
	}
	sivs := make([][]byte, len(pieces))
	for i := range sivs {
		sivs[i] = random(12)
	}
	return sealedWith(key, aad, random(32), sivs, pieces)
}

// The same with given random values, for comparison with vectors. Never use a value twice.
func sealedWith(key, aad, iv []byte, sivs, pieces [][]byte) [][]byte {
	f := floe{key, slices.Concat(parameters, iv), aad}
	messageKey := f.messageKey()
	var made [][]byte
	for i, piece := range pieces {
		last := i == len(pieces)-1
		length := []byte{255, 255, 255, 255}
		if last {
			length = u32(len(piece) + overheadBytes)
		}
		aead, segmentAAD := f.segment(messageKey, i, last)
		made = append(made, aead.Seal(slices.Concat(length, sivs[i]), sivs[i], piece, segmentAAD))
	}
	made[0] = slices.Concat(f.beginning, f.tag(), made[0])
	return made
}

// [3] The plaintext of a complete part, from the data of its Segment messages in order. Refuses any other stream.
func opened(key, aad []byte, data [][]byte) ([]byte, error) {
	if len(data) == 0 || len(data[0]) < headerBytes || !bytes.Equal(data[0][:10], parameters) {
		return nil, errors.New("the part has other parameters")
	}
	f := floe{key, data[0][:headerBytes-32], aad}
	if !equal(f.tag(), data[0][headerBytes-32:headerBytes]) {
		return nil, errors.New("the header of the part is not genuine")
	}
	segments := slices.Concat([][]byte{data[0][headerBytes:]}, data[1:])
	messageKey := f.messageKey()
	var plain []byte
	for i, segment := range segments {
		last := i == len(segments)-1
		if !whole(segment, last) {
			return nil, errors.New("the part is not complete")
		}
		aead, segmentAAD := f.segment(messageKey, i, last)
		var err error
		if plain, err = aead.Open(plain, segment[4:16], segment[16:], segmentAAD); err != nil {
			return nil, err
		}
	}
	return plain, nil
}

func whole(segment []byte, last bool) bool {
	if len(segment) < overheadBytes || len(segment) > segmentBytes {
		return false
	}
	if last {
		return int(be.Uint32(segment)) == len(segment)
	}
	return be.Uint32(segment) == 0xffffffff && len(segment) == segmentBytes
}
