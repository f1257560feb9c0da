package main

// [8], [9] The receipt of a job, and the failure receipt of one by reference, as their readers require them.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	workerv1 "cji.worker/v1"
)

// The kinds of text in claims, by their forms.
type (
	token   string
	text    string
	hex32   string
	hex64   string
	hex96   string
	keyID   string
	ori     string
	code    string
	url     string
	utc     string
	suiteID string
	mode    string
	advised string
	cipherA string
	stage   string
	reason  string
)

var forms = map[reflect.Type]*regexp.Regexp{
	reflect.TypeFor[token]():   regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}$`),
	reflect.TypeFor[text]():    regexp.MustCompile(`^[^\x00-\x1f\x7f-\x{9f}\x{ad}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}]{1,256}$`),
	reflect.TypeFor[hex32]():   regexp.MustCompile(`^[0-9a-f]{32}$`),
	reflect.TypeFor[hex64]():   regexp.MustCompile(`^[0-9a-f]{64}$`),
	reflect.TypeFor[hex96]():   regexp.MustCompile(`^[0-9a-f]{96}$`),
	reflect.TypeFor[keyID]():   regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`),
	reflect.TypeFor[ori]():     regexp.MustCompile(`^[A-Z0-9]{9}$`),
	reflect.TypeFor[code]():    regexp.MustCompile(`^[A-Z0-9]{1,3}$`),
	reflect.TypeFor[url]():     regexp.MustCompile(`^https://[A-Za-z0-9._:/-]{1,504}$`),
	reflect.TypeFor[utc]():     regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{2}Z$`),
	reflect.TypeFor[suiteID](): regexp.MustCompile(`^(classical|hybrid)-1$`),
	reflect.TypeFor[mode]():    regexp.MustCompile(`^(not_)?approved$`),
	reflect.TypeFor[advised](): regexp.MustCompile(`^advisory$`),
	reflect.TypeFor[cipherA](): regexp.MustCompile(`^AEAD_AES_256_CBC_HMAC_SHA256$`),
	reflect.TypeFor[stage]():   regexp.MustCompile(`^(start|open|admit|unseal|compute|commit|receipt)$`),
}

type partDigest struct {
	Name   token `json:"name"`
	SHA256 hex64 `json:"sha256"`
	Bytes  int64 `json:"bytes"`
}

type volumes struct {
	RowsIn   int64 `json:"rows_in"`
	RowsOut  int64 `json:"rows_out"`
	BytesIn  int64 `json:"bytes_in"`
	BytesOut int64 `json:"bytes_out"`
	CHRI     int64 `json:"chri_rows_out"`
	Subjects int64 `json:"subjects_out"`
}

// Members in their order; a slice or map with `some` has at least one.
type receiptClaims struct {
	Version      int             `json:"version"`
	Worker       token           `json:"worker"`
	Sequence     int64           `json:"sequence" some:""`
	Previous     hex96           `json:"previous_sha384"`
	JobID        hex32           `json:"job_id"`
	Header       hex96           `json:"header_sha384"`
	ResultHeader hex96           `json:"result_header_sha384"`
	Inputs       []partDigest    `json:"inputs" some:""`
	Outputs      []partDigest    `json:"outputs" some:""`
	Witnesses    []string        `json:"witnesses"`
	Submitter    token           `json:"submitter"`
	SubmitterKey keyID           `json:"submitter_key"`
	Originating  ori             `json:"originating_ori"`
	Requesting   ori             `json:"requesting_ori"`
	Suite        suiteID         `json:"suite"`
	Purpose      code            `json:"purpose_code"`
	Operations   []token         `json:"operations" some:""`
	Recipients   []keyID         `json:"recipients" some:""`
	KekID        url             `json:"kek_id"`
	Volumes      volumes         `json:"volumes"`
	Started      utc             `json:"started"`
	Ended        utc             `json:"ended"`
	Region       token           `json:"region"`
	TEE          token           `json:"tee"`
	TCB          map[token]int64 `json:"tcb" some:""`
	Accepted     []token         `json:"accepted_advisories"`
	Evidence     hex96           `json:"evidence_sha384"`
	MAAToken     hex96           `json:"maa_token_sha384"`
	Policy       hex96           `json:"policy_sha384"`
	Config       hex96           `json:"config_sha384"`
	Code         hex96           `json:"code_sha384"`
	Tables       hex64           `json:"tables_sha256"`
	FIPS         struct {
		Name        text  `json:"name"`
		Version     token `json:"version"`
		Certificate token `json:"certificate"`
		Mode        mode  `json:"mode"`
	} `json:"fips"`
	Transport struct {
		Protocol token `json:"protocol"`
		Cipher   token `json:"cipher"`
		Bits     int64 `json:"bits"`
	} `json:"transport"`
	HostProfile token `json:"host_profile"`
	Simulated   bool  `json:"simulated"`
	TPM         struct {
		Clock    int64 `json:"clock"`
		Resets   int64 `json:"reset_count"`
		Restarts int64 `json:"restart_count"`
	} `json:"tpm"`
	Trail       hex96        `json:"trail"`
	AuditAnchor int64        `json:"audit_anchor"`
	ColumnKeys  []columnKeys `json:"column_keys,omitempty"`
	Tasks       *tasks       `json:"tasks,omitempty"`
	Privacy     *privacy     `json:"privacy,omitempty"`
}

type columnKeys struct {
	Statement hex96 `json:"statement_sha384"`
	Keys      []struct {
		Path      text    `json:"key_path"`
		SHA384    hex96   `json:"cek_sha384"`
		Algorithm cipherA `json:"algorithm"`
	} `json:"keys" some:""`
}

type tasks struct {
	Plan       hex96 `json:"plan_sha384"`
	Statements int64 `json:"statements" some:""`
	Root       hex64 `json:"root_sha256"`
	Nodes      []struct {
		Worker     token `json:"worker"`
		ReceiptKey keyID `json:"receipt_key"`
		Evidence   hex96 `json:"evidence_sha384"`
		Region     token `json:"region"`
		TEE        token `json:"tee"`
	} `json:"nodes" some:""`
}

type privacy struct {
	Project       text    `json:"project"`
	Epsilon       int64   `json:"epsilon_thousandths"`
	RowsPerPerson int64   `json:"rows_per_person"`
	Budget        advised `json:"budget"`
}

type failureClaims struct {
	Version     int     `json:"version"`
	Worker      token   `json:"worker"`
	JobID       hex32   `json:"job_id"`
	Header      hex96   `json:"header_sha384"`
	Submitter   token   `json:"submitter"`
	Originating ori     `json:"originating_ori"`
	Requesting  ori     `json:"requesting_ori"`
	Suite       suiteID `json:"suite"`
	Attempts    int64   `json:"attempts"`
	Reason      reason  `json:"reason"`
	Stage       stage   `json:"stage"`
	Queued      utc     `json:"queued"`
	Failed      utc     `json:"failed"`
	TEE         token   `json:"tee"`
	Evidence    hex96   `json:"evidence_sha384"`
	MAAToken    hex96   `json:"maa_token_sha384"`
	Policy      hex96   `json:"policy_sha384"`
	Config      hex96   `json:"config_sha384"`
	Code        hex96   `json:"code_sha384"`
	Simulated   bool    `json:"simulated"`
}

func (c receiptClaims) suite() (string, error) {
	if c.Version != 1 || !slices.Equal(c.Witnesses, []string{"front", "cell"}) {
		return "", errors.New("the receipt has another version or other witnesses")
	}
	return string(c.Suite), nil
}

func (c failureClaims) suite() (string, error) {
	if c.Version != 1 || c.Attempts > 1000 || workerv1.Reason_value[string(c.Reason)] == 0 {
		return "", errors.New("the failure receipt has another version, too many attempts or an unknown reason")
	}
	return string(c.Suite), nil
}

func verifyReceipt(document string, key verifier) (receiptClaims, error) {
	return verifyDocument[receiptClaims](document, "cji-receipt+jws", key)
}

func verifyFailure(document string, key verifier) (failureClaims, error) {
	return verifyDocument[failureClaims](document, "cji-failure+jws", key)
}

// The claims of a compact JWS of this typ, if it has its one form and was signed with the key.
func verifyDocument[Claims interface{ suite() (string, error) }](document, typ string, key verifier) (Claims, error) {
	var none Claims
	parts := strings.Split(document, ".")
	if len(parts) != 3 || len(document) > 64<<10 {
		return none, errors.New("the document is no compact JWS")
	}
	var data [3][]byte
	for i, part := range parts {
		decoded, err := fromBase64url(part)
		if err != nil {
			return none, err
		}
		data[i] = decoded
	}
	found, err := inOneForm[Claims](data[1])
	if err != nil {
		return none, err
	}
	suite, err := found.suite()
	if err != nil {
		return none, err
	}
	alg := map[string]string{classical: "ES384", hybrid: "ML-DSA-87-ES384"}[suite]
	header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, alg, key.jwk.thumbprint(), typ)
	if string(data[0]) != header || !key.verify(suite, []byte(parts[0]+"."+parts[1]), data[2]) {
		return none, errors.New("the document was not signed with this key")
	}
	return found, nil
}

// encoding/json takes repeated members, any order, blanks and other cases of letters; written again, the bytes differ then.
func inOneForm[Claims any](payload []byte) (Claims, error) {
	var found, none Claims
	if err := json.Unmarshal(payload, &found); err != nil {
		return none, err
	}
	var again bytes.Buffer
	encoder := json.NewEncoder(&again)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(found); err != nil {
		return none, err
	}
	if !bytes.Equal(bytes.TrimSuffix(again.Bytes(), []byte("\n")), payload) {
		return none, errors.New("the claims are not in their one form")
	}
	return found, wellFormed(reflect.ValueOf(found), true)
}

func wellFormed(value reflect.Value, some bool) error {
	if form := forms[value.Type()]; form != nil && !form.MatchString(value.String()) {
		return fmt.Errorf("%q is no %v", value, value.Type().Name())
	}
	var parts []reflect.Value
	switch value.Kind() {
	case reflect.Int64:
		if value.Int() < 0 || some && value.Int() == 0 {
			return errors.New("a count is too small")
		}
	case reflect.Pointer:
		if !value.IsNil() {
			parts = append(parts, value.Elem())
		}
	case reflect.Slice:
		for i := range value.Len() {
			parts = append(parts, value.Index(i))
		}
	case reflect.Map:
		for each := value.MapRange(); each.Next(); {
			parts = append(parts, each.Key(), each.Value())
		}
	case reflect.Struct:
		return wellFormedFields(value)
	}
	if isList := value.Kind() == reflect.Slice || value.Kind() == reflect.Map; isList && some && len(parts) == 0 {
		return errors.New("an array or object is empty")
	}
	for _, part := range parts {
		if err := wellFormed(part, false); err != nil {
			return err
		}
	}
	return nil
}

func wellFormedFields(value reflect.Value) error {
	for i := range value.NumField() {
		kind := value.Type().Field(i)
		_, some := kind.Tag.Lookup("some")
		field, optional := value.Field(i), strings.HasSuffix(kind.Tag.Get("json"), "omitempty")
		if field.Kind() == reflect.Slice && field.IsNil() && !optional {
			return fmt.Errorf("%s is null", kind.Name)
		}
		if err := wellFormed(field, some); err != nil {
			return fmt.Errorf("%s: %w", kind.Name, err)
		}
	}
	return nil
}

// [8] The root that the quote binds, from the caller's nonce.
func rootOf(nonce, path []byte) ([]byte, error) {
	if len(nonce) != 32 || len(path)%49 != 0 || len(path) > 6*49 {
		return nil, errors.New("the nonce path has another length")
	}
	root := sha384(slices.Concat([]byte("\x00cji-nonce/1\x00"), nonce))
	for step := range slices.Chunk(path, 49) {
		switch step[0] {
		case 0:
			root = sha384(slices.Concat([]byte{1}, step[1:], root))
		case 1:
			root = sha384(slices.Concat([]byte{1}, root, step[1:]))
		default:
			return nil, errors.New("a partner is on neither side")
		}
	}
	return root, nil
}
