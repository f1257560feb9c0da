package main

// [1], [7] Messages of Protocol Buffers in their one encoding.

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	workerv1 "cji.worker/v1"
	"google.golang.org/protobuf/proto"
)

var (
	nameForm   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	schemaForm = regexp.MustCompile(`^[a-z][a-z0-9_.]{0,47}/[0-9]{1,4}(\.[0-9]{1,4}){0,2}$`)
	suites     = map[workerv1.Suite]string{workerv1.Suite_CLASSICAL_1: classical, workerv1.Suite_HYBRID_1: hybrid}
)

func canonical(message proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(message)
}

// Reads bytes that are the canonical encoding of a message without unknown fields, and no others.
func fromCanonical(data []byte, message proto.Message) error {
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, message); err != nil {
		return err
	}
	again, err := canonical(message)
	if err == nil && (len(data) == 0 || len(data) > 32<<10 || !bytes.Equal(again, data)) {
		err = errors.New("the message is not in its canonical encoding")
	}
	return err
}

func isText(text string) bool {
	printable := strings.IndexFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
	return utf8.ValidString(text) && printable && len(text) > 0 && len(text) <= 256 && strings.Trim(text, " ") == text
}

func readAttribution(plain []byte) (*workerv1.Attribution, error) {
	data, found := bytes.TrimRight(plain, "\x00"), new(workerv1.Attribution)
	if len(plain) > 1536 || len(plain) != len(padded(bytes.Clone(data))) {
		return nil, errors.New("the attribution has another padding")
	}
	if err := fromCanonical(data, found); err != nil {
		return nil, err
	}
	for _, given := range []string{found.OperatorId, found.Requestor, found.Reason} {
		if !isText(given) {
			return nil, errors.New("an attribution lacks a text")
		}
	}
	for _, given := range []string{found.SecondaryRecipient, found.CaseNumber} {
		if given != "" && !isText(given) {
			return nil, errors.New("an attribution has a text of another form")
		}
	}
	return found, nil
}

// The result header of the job with this header, its own.
func readResultHeader(data, header []byte) (*workerv1.ResultHeader, *workerv1.JobHeader, error) {
	job, result := new(workerv1.JobHeader), new(workerv1.ResultHeader)
	if err := proto.Unmarshal(header, job); err != nil {
		return nil, nil, err
	}
	if err := fromCanonical(data, result); err != nil {
		return nil, nil, err
	}
	if result.Version != 1 || !bytes.Equal(result.JobId, job.JobId) || !bytes.Equal(result.JobHeaderSha384, sha384(header)) {
		return nil, nil, errors.New("the result is that of another job")
	}
	if err := checkOutputs(result.Outputs); err != nil {
		return nil, nil, err
	}
	if len(result.Recipients) != len(job.Recipients) {
		return nil, nil, errors.New("the result has other recipients")
	}
	for i, wrapped := range result.Recipients {
		length, err := wrappedBytes(job.Recipients[i].Jwk)
		if err != nil || wrapped.KeyId != job.Recipients[i].KeyId || len(wrapped.WrappedDek) != length {
			return nil, nil, errors.New("the result has other recipients")
		}
	}
	return result, job, nil
}

func wrappedBytes(text string) (int, error) {
	key, err := parseJWK(text)
	if err != nil {
		return 0, err
	}
	if key["alg"] == "MLKEM1024-P384" {
		return mlKEMBytes + pointBytes + 32 + 16, nil
	}
	public, err := rsaKey(key)
	if err != nil {
		return 0, err
	}
	return public.Size(), nil
}

func checkOutputs(outputs []*workerv1.OutputPart) error {
	if len(outputs) > 16 {
		return errors.New("the result has too many outputs")
	}
	names := map[string]bool{}
	for _, output := range outputs {
		shards := output.Shards == 0 || output.Shards >= 2 && output.Shards <= 1024
		if names[output.Name] || !nameForm.MatchString(output.Name) || !schemaForm.MatchString(output.Schema) || !shards {
			return errors.New("the result has an output of another form")
		}
		names[output.Name] = true
	}
	if !names["result"] || !names["row_status"] {
		return errors.New("the result lacks an output")
	}
	return nil
}
