package main

// Runs what this program reads against the conformance kit. A case is read as its group's `about` says. What is valid must
// open and have what `expected` says, what is invalid must not open, and what is acceptable may do either. Prints the
// number of cases of each group, and those that went wrong.

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	workerv1 "cji.worker/v1"
	"google.golang.org/protobuf/proto"
)

type members map[string]any

func (m members) text(name string) string { found, _ := m[name].(string); return found }

// The bytes of a member. Kits are made by a program: a member of another form ends this one.
func (m members) hex(name string) []byte { return fromHex(m.text(name)) }

func (m members) of(name string) members { return m[name].(map[string]any) }

func (m members) list(name string) [][]byte {
	found := [][]byte{}
	for _, each := range m[name].([]any) {
		found = append(found, fromHex(each.(string)))
	}
	return found
}

func fromHex(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}

type testCase struct {
	ID, Result     string
	Data, Expected members
}

type reader func(kitKeys, members) (members, error)

var readers = map[string]reader{
	"admissions":     kitAdmission,
	"attributions":   kitAttribution,
	"boxes":          kitBox,
	"data-keys":      kitDataKey,
	"derived":        kitDerived,
	"failures":       kitFailure,
	"jobs":           kitJob,
	"nonce-paths":    kitNoncePath,
	"receipts":       kitReceipt,
	"result-headers": kitResultHeader,
	"result-keys":    kitResultKey,
	"signatures":     kitSignature,
	"streams":        kitStream,
}

// What a submitter never reads.
var others = map[string]string{
	"headers":    "a worker reads them",
	"records":    "a worker reads them",
	"statements": "a worker reads them",
	"tickets":    "a worker reads them",
}

type kitKeys struct {
	RSA    map[string]string
	Hybrid map[string]members
}

func (k kitKeys) rsa(name string) *rsa.PrivateKey {
	found, err := privateKey(fromHex(k.RSA[name]))
	if err != nil {
		panic(err)
	}
	return found.(*rsa.PrivateKey)
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

func kit(folder string) error {
	var keys kitKeys
	if err := readJSON(filepath.Join(folder, "keys.json"), &keys); err != nil {
		return err
	}
	files, _ := filepath.Glob(filepath.Join(folder, "*.json"))
	failed := 0
	for _, path := range files {
		var group struct {
			Group string
			Cases []testCase
		}
		if err := readJSON(path, &group); err != nil {
			return err
		}
		if group.Group == "" {
			continue // keys and schema
		}
		read, mine := readers[group.Group]
		if !mine {
			lacks := cmp.Or(others[group.Group], "this program does not know the group")
			fmt.Printf("%s: 0 passed, 0 failed, %d not supported: %s\n", group.Group, len(group.Cases), lacks)
			continue
		}
		wrong := slices.DeleteFunc(slices.Clone(group.Cases), func(each testCase) bool { return each.passes(read, keys) })
		fmt.Printf("%s: %d passed, %d failed, 0 not supported\n", group.Group, len(group.Cases)-len(wrong), len(wrong))
		for _, each := range wrong {
			fmt.Printf("  wrong: %s\n", each.ID)
		}
		failed += len(wrong)
	}
	if failed > 0 {
		return fmt.Errorf("%d cases failed", failed)
	}
	return nil
}

func (c testCase) passes(read reader, keys kitKeys) bool {
	found, err := read(keys, c.Data)
	if err != nil {
		return c.Result != "valid"
	}
	data, err := json.Marshal(found)
	if err != nil || c.Result == "invalid" {
		return false
	}
	var plain members // as it is in JSON
	if json.Unmarshal(data, &plain) != nil {
		return false
	}
	compared := 0
	for name, value := range c.Expected {
		found, made := plain[name]
		if made && !reflect.DeepEqual(found, value) {
			return false
		}
		if made {
			compared++
		}
	}
	return compared > 0 || len(c.Expected) == 0
}

func kitStream(_ kitKeys, data members) (members, error) {
	key, aad, sent := data.hex("key"), data.hex("aad"), [][]byte(nil)
	found := members{}
	if _, described := data["pieces"]; described {
		sent = kitLongStream(key, aad, data)
		found["data_bytes"], found["data_sha384"] = len(slices.Concat(sent...)), hex.EncodeToString(sha384(slices.Concat(sent...)))
	} else {
		sent = data.list("data")
	}
	plain, err := opened(key, aad, sent)
	if err != nil {
		return nil, err
	}
	f := floe{key, sent[0][:headerBytes-32], aad}
	found["mk"], found["dek_0"] = hex.EncodeToString(f.messageKey()), hex.EncodeToString(f.dek(f.messageKey(), 0))
	if len(found) == 2 {
		found["plaintext"] = hex.EncodeToString(plain)
	} else {
		found["plaintext_bytes"], found["plaintext_sha384"] = len(plain), hex.EncodeToString(sha384(plain))
	}
	return found, nil
}

func kitLongStream(key, aad []byte, data members) [][]byte {
	var pieces [][]byte
	next := byte(0)
	for _, length := range data["pieces"].([]any) {
		piece := make([]byte, int(length.(float64)))
		for i := range piece {
			piece[i] = next
			next++
		}
		pieces = append(pieces, piece)
	}
	return sealedWith(key, aad, data.hex("iv"), data.list("sivs"), pieces)
}

func kitBox(_ kitKeys, data members) (members, error) {
	plain, err := unboxed(data.hex("data_key"), string(data.hex("purpose")), data.hex("box"))
	return members{"plaintext": hex.EncodeToString(plain)}, err
}

func kitDerived(_ kitKeys, data members) (members, error) {
	if data.text("what") == "dek" {
		f := floe{nil, slices.Concat(parameters, data.hex("iv")), data.hex("aad")}
		return members{"key": hex.EncodeToString(f.dek(data.hex("mk"), uint64(data["index"].(float64))))}, nil
	}
	info := slices.Concat([]byte("cji-"+data.text("what")+"-key/1\x00"), data.hex("header_sha384"))
	length := 32
	switch data.text("what") {
	case "shuffle":
		info = append(info, data.hex("plan_sha384")...)
	case "statement":
		length = 48
	}
	return members{"key": hex.EncodeToString(expand(data.hex("data_key"), length, info))}, nil
}

// [4] As the worker unwraps a data key.
func kitDataKey(keys kitKeys, data members) (members, error) {
	worker, wrapped := data.of("worker_key"), data.hex("wrapped_dek")
	return openDataKey(keys.rsa(worker.text("rsa")), worker, data.text("suite"), wrapped)
}

func openDataKey(private *rsa.PrivateKey, worker members, suite string, wrapped []byte) (members, error) {
	if suite == classical {
		key, err := unwrapped(private, wrapped)
		return members{"data_key": hex.EncodeToString(key)}, err
	}
	if len(wrapped) < mlKEMBytes {
		return nil, errors.New("it is too short")
	}
	kem, err := mlkem.NewDecapsulationKey1024(worker.hex("ml_kem_seed"))
	if err != nil {
		return nil, err
	}
	ss, err := kem.Decapsulate(wrapped[:mlKEMBytes])
	if err != nil {
		return nil, err
	}
	r, err := unwrapped(private, wrapped[mlKEMBytes:])
	if err != nil {
		return nil, err
	}
	public := jwk{"kty": "RSA", "e": "AQAB", "n": base64url.EncodeToString(private.N.Bytes())}
	kemJWK := jwk{"kty": "AKP", "alg": "ML-KEM-1024", "pub": base64url.EncodeToString(kem.EncapsulationKey().Bytes())}
	key := combined(ss, r, wrapped, kemJWK, public)
	return members{"data_key": hex.EncodeToString(key), "ss": hex.EncodeToString(ss), "r": hex.EncodeToString(r)}, nil
}

func kitResultKey(keys kitKeys, data members) (members, error) {
	suite, wrapped, header := data.text("suite"), data.hex("wrapped_dek"), data.hex("header")
	if suite == classical {
		key, err := recipient{rsa: keys.rsa(data.text("recipient"))}.resultKey(suite, wrapped, header)
		return members{"result_key": hex.EncodeToString(key)}, err
	}
	kem, err := mlkem.NewDecapsulationKey1024(keys.Hybrid[data.text("recipient")].hex("ml_kem_seed"))
	if err != nil {
		return nil, err
	}
	half, err := ecdh.P384().NewPrivateKey(keys.Hybrid[data.text("recipient")].hex("p384"))
	if err != nil {
		return nil, err
	}
	opening := recipient{mlKEM: kem, p384: half}
	key, err := opening.resultKey(suite, wrapped, header)
	if err != nil {
		return nil, err
	}
	steps, err := opening.hpke(wrapped[:mlKEMBytes], wrapped[mlKEMBytes:mlKEMBytes+pointBytes], header)
	return members{"result_key": hex.EncodeToString(key), "ss": hex.EncodeToString(steps.ss), "secret": hex.EncodeToString(steps.secret),
		"key": hex.EncodeToString(steps.key), "nonce": hex.EncodeToString(steps.nonce)}, err
}

// [2] As the worker verifies who sent a header.
func kitSignature(_ kitKeys, data members) (members, error) {
	key, err := parse(data.text("jwk"), verifyingKey)
	if err != nil {
		return nil, err
	}
	header, job := data.hex("header"), new(workerv1.JobHeader)
	if err := proto.Unmarshal(header, job); err != nil {
		return nil, err
	}
	suite := suites[job.Suite]
	if !bytes.Equal(key.of(suite).digest(), job.Submitter) || !key.verify(suite, jobMessage(header), data.hex("signature")) {
		return nil, errors.New("the signature is not that of the submitter")
	}
	if suite == hybrid {
		return members{"prepared": hex.EncodeToString(prepared(jobMessage(header)))}, nil
	}
	return members{}, nil
}

// [6] As the worker verifies an admission: by the send key, if the header names one.
func kitAdmission(_ kitKeys, data members) (members, error) {
	header, job := data.hex("header"), new(workerv1.JobHeader)
	if err := proto.Unmarshal(header, job); err != nil {
		return nil, err
	}
	name, named := "submitter_jwk", job.Submitter
	if len(job.SendKey) > 0 {
		name, named = "send_jwk", job.SendKey
	}
	key, err := parse(data.text(name), verifyingKey)
	if err != nil {
		return nil, err
	}
	receiptKey, err := parseJWK(data.text("receipt_jwk"))
	if err != nil {
		return nil, err
	}
	suite, attempt := suites[job.Suite], int(data["attempt"].(float64))
	message := admissionMessage(data.hex("nonce"), receiptKey, header, attempt)
	if !bytes.Equal(key.of(suite).digest(), named) || !key.verify(suite, message, data.hex("signature")) {
		return nil, errors.New("the admission is not that of the key in the header")
	}
	return members{"message": hex.EncodeToString(message)}, nil
}

func kitAttribution(_ kitKeys, data members) (members, error) {
	found, err := readAttribution(data.hex("plaintext"))
	if err != nil {
		return nil, err
	}
	texts := members{"operator_id": found.OperatorId, "requestor": found.Requestor, "reason": found.Reason,
		"secondary_recipient": found.SecondaryRecipient, "case_number": found.CaseNumber}
	maps.DeleteFunc(texts, func(_ string, value any) bool { return value == "" })
	return texts, nil
}

func kitNoncePath(_ kitKeys, data members) (members, error) {
	root, err := rootOf(data.hex("nonce"), data.hex("nonce_path"))
	return members{"root": hex.EncodeToString(root)}, err
}

func kitReceipt(_ kitKeys, data members) (members, error) {
	return kitDocument(data, verifyReceipt)
}

func kitFailure(_ kitKeys, data members) (members, error) {
	return kitDocument(data, verifyFailure)
}

func kitDocument[Claims any](data members, verify func(string, verifier) (Claims, error)) (members, error) {
	key, err := parse(data.text("jwk"), verifyingKey)
	if err != nil {
		return nil, err
	}
	found, err := verify(data.text("document"), key)
	return members{"claims": found}, err
}

func kitResultHeader(_ kitKeys, data members) (members, error) {
	_, _, err := readResultHeader(data.hex("result_header"), data.hex("header"))
	return members{}, err
}

// A job from end to end: as the worker opens it, then its result as the recipient does.
func kitJob(_ kitKeys, data members) (members, error) {
	admission := maps.Clone(data.of("admission"))
	maps.Copy(admission, members{"header": data["header"], "receipt_jwk": data["receipt_jwk"], "submitter_jwk": data.of("submitter")["jwk"]})
	_, err := kitAdmission(kitKeys{}, admission)
	if err != nil {
		return nil, err
	}
	header, suite := data.hex("header"), data.text("suite")
	if _, err := kitSignature(kitKeys{}, members{"jwk": data.of("submitter")["jwk"], "header": data["header"], "signature": data["signature"]}); err != nil {
		return nil, err
	}
	_, worker, err := kitPrivate(data.of("worker_key")["cmk_private"])
	if err != nil {
		return nil, err
	}
	dek, err := openDataKey(worker.rsa, data.of("worker_key"), suite, data.hex("wrapped_dek"))
	if err != nil || dek["data_key"] != data["dek"] {
		return nil, errors.Join(err, errors.New("the data key is another"))
	}
	_, opening, err := kitPrivate(data.of("recipient")["private"].([]any)...)
	if err != nil {
		return nil, err
	}
	rows, err := kitInputs(data, header)
	if err != nil {
		return nil, err
	}
	return members{"rows": rows, "dek": dek["data_key"]}, kitResult(data, header, opening, rows)
}

func kitPrivate(given ...any) (signing signer, opening recipient, err error) {
	for _, each := range given {
		der, err := base64.StdEncoding.DecodeString(each.(string))
		if err != nil {
			return signing, opening, err
		}
		key, err := privateKey(der)
		if err != nil {
			return signing, opening, err
		}
		if err := place(key, &signing, &opening); err != nil {
			return signing, opening, err
		}
	}
	return signing, opening, nil
}

func kitParts(data members, several, one string) [][][]byte {
	all, _ := data[several].([]any)
	if all == nil {
		all = []any{data[one]}
	}
	var parts [][][]byte
	for _, part := range all {
		parts = append(parts, members{"": part}.list(""))
	}
	return parts
}

// The rows of all shards of the records.
func kitInputs(data members, header []byte) (int64, error) {
	job, total := new(workerv1.JobHeader), int64(0)
	if err := proto.Unmarshal(header, job); err != nil {
		return 0, err
	}
	sides := len(job.Inputs) - 1
	for n, sent := range kitParts(data, "inputs", "input") {
		plain, err := opened(data.hex("dek"), inputAAD(header, n), sent)
		if err != nil {
			return 0, err
		}
		rows, _, err := table(plain, false)
		if err != nil {
			return 0, err
		}
		if n >= sides {
			total += int64(rows)
		}
	}
	return total, nil
}

func kitResult(data members, header []byte, opening recipient, rows int64) error {
	key, err := parse(data.text("receipt_jwk"), verifyingKey)
	if err != nil {
		return err
	}
	found, err := verifyReceipt(data.text("receipt"), key)
	if err != nil {
		return err
	}
	resultHeader := data.hex("result_header")
	result, job, err := readResultHeader(resultHeader, header)
	if err != nil {
		return err
	}
	resultKey, err := opening.resultKey(data.text("suite"), result.Recipients[0].WrappedDek, header)
	if err != nil || !bytes.Equal(resultKey, data.hex("result_key")) {
		return errors.Join(err, errors.New("the result key is another"))
	}
	for n, sent := range kitParts(data, "outputs", "output") {
		if found.Outputs[n] != digestOf(string(found.Outputs[n].Name), sent) {
			return errors.New("the receipt states another output")
		}
		plain, err := opened(resultKey, outputAAD(resultHeader, n), sent)
		if err != nil {
			return err
		}
		if _, _, err := table(plain, job.SizeClass == workerv1.SizeClass_POWER_OF_TWO); err != nil {
			return err
		}
	}
	if found.Volumes.RowsOut != rows {
		return errors.New("the receipt states another number of rows")
	}
	return nil
}
