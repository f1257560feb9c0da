package main

// Keys and signatures of both suites. Numbers in brackets are sections of docs/format.md. ML-DSA is that of CIRCL; all
// else is in the standard library.

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
)

const (
	classical = "classical-1"
	hybrid    = "hybrid-1"

	mlKEMBytes, mlDSABytes, pointBytes = 1568, mldsa87.PublicKeySize, 97
)

var base64url = base64.RawURLEncoding.Strict()

// Base64url without padding, in its one form; the decoder itself passes over line ends.
func fromBase64url(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("base64url has a line end")
	}
	return base64url.DecodeString(text)
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// ---- [1] keys as JWK

type jwk map[string]string

var (
	hashed   = map[string][]string{"RSA": {"e", "kty", "n"}, "EC": {"crv", "kty", "x", "y"}, "AKP": {"alg", "kty", "pub"}}
	labelled = map[string]jwk{"RSA": {"alg": "RSA-OAEP-256", "use": "enc"}, "EC": {"alg": "ES384", "use": "sig"}}
)

// A public key, with no member that its kind does not have and none twice.
func parseJWK(text string) (jwk, error) {
	decoder, found := json.NewDecoder(strings.NewReader(text)), jwk{}
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') || len(text) > 16<<10 {
		return nil, errors.New("a key is no JSON object")
	}
	for decoder.More() {
		name, _ := decoder.Token()
		value, _ := decoder.Token()
		member, isText := name.(string)
		content, isAlsoText := value.(string)
		if _, twice := found[member]; twice || !isText || !isAlsoText {
			return nil, fmt.Errorf("a key has a wrong member %v", name)
		}
		found[member] = content
	}
	if _, err := decoder.Token(); err != nil || strings.TrimSpace(text[decoder.InputOffset():]) != "" {
		return nil, errors.New("a key is not one JSON object")
	}
	kind := found["kty"]
	for _, name := range hashed[kind] {
		if found[name] == "" {
			return nil, fmt.Errorf("a key lacks its member %s", name)
		}
	}
	for name, value := range found {
		known := slices.Contains(hashed[kind], name) || labelled[kind][name] == value
		if !known && (name != "kid" || value != found.thumbprint()) {
			return nil, fmt.Errorf("a key has a wrong member %s", name)
		}
	}
	return found, nil
}

// The JSON of RFC 7638, the required members in alphabetical order, and its SHA-256.
func (k jwk) text() string {
	var members []string
	for _, name := range hashed[k["kty"]] {
		members = append(members, fmt.Sprintf("%q:%q", name, k[name]))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (k jwk) digest() []byte {
	digest := sha256.Sum256([]byte(k.text()))
	return digest[:]
}

func (k jwk) thumbprint() string { return base64url.EncodeToString(k.digest()) }

func (k jwk) bytes(name string) []byte {
	data, err := fromBase64url(k[name])
	if err != nil {
		return nil
	}
	return data
}

// The key of a JWK of this kind, from text.
func parse[Key any](text string, read func(jwk) (Key, error)) (Key, error) {
	var none Key
	found, err := parseJWK(text)
	if err != nil {
		return none, err
	}
	return read(found)
}

func rsaKey(k jwk) (*rsa.PublicKey, error) {
	n := new(big.Int).SetBytes(k.bytes("n"))
	short := base64url.EncodeToString(n.Bytes()) == k["n"]
	if k["kty"] != "RSA" || k["e"] != "AQAB" || !short || n.Bit(0) == 0 || n.BitLen() < 3072 || n.BitLen() > 8192 {
		return nil, errors.New("it is no RSA key as it must be")
	}
	return &rsa.PublicKey{N: n, E: 65537}, nil
}

func mlKEMKey(k jwk) (*mlkem.EncapsulationKey1024, error) {
	if k["alg"] != "ML-KEM-1024" {
		return nil, errors.New("it is no ML-KEM key")
	}
	return mlkem.NewEncapsulationKey1024(k.bytes("pub"))
}

// ---- [2] signatures

// A key that signs: in classical-1 the P-384 key alone, in hybrid-1 both.
type signer struct {
	p384  *ecdsa.PrivateKey
	mlDSA *mldsa87.PrivateKey
}

type verifier struct {
	p384  *ecdsa.PublicKey
	mlDSA *mldsa87.PublicKey
	jwk   jwk
}

func point(encoded []byte) (*ecdsa.PublicKey, error) {
	if _, err := ecdh.P384().NewPublicKey(encoded); err != nil {
		return nil, err // not of the curve
	}
	x, y := new(big.Int).SetBytes(encoded[1:49]), new(big.Int).SetBytes(encoded[49:])
	return &ecdsa.PublicKey{Curve: elliptic.P384(), X: x, Y: y}, nil
}

func verifyingKey(k jwk) (v verifier, err error) {
	v.jwk = k
	if k["crv"] == "P-384" {
		x, y := k.bytes("x"), k.bytes("y")
		if len(x) != 48 || len(y) != 48 {
			return v, errors.New("a coordinate has another length than 48")
		}
		v.p384, err = point(slices.Concat([]byte{4}, x, y))
		return v, err
	}
	pub := k.bytes("pub")
	if k["alg"] != "ML-DSA-87-ES384" || len(pub) != mlDSABytes+pointBytes {
		return v, errors.New("it is no key that verifies signatures")
	}
	v.mlDSA = new(mldsa87.PublicKey)
	if err = v.mlDSA.UnmarshalBinary(pub[:mlDSABytes]); err != nil {
		return v, err
	}
	v.p384, err = point(pub[mlDSABytes:])
	return v, err
}

// The key that signs in this suite, whose thumbprint a header has.
func (v verifier) of(suite string) jwk {
	if suite == hybrid || v.jwk["kty"] == "EC" {
		return v.jwk
	}
	return p384JWK(v.p384)
}

func p384JWK(key *ecdsa.PublicKey) jwk {
	x, y := key.X.FillBytes(make([]byte, 48)), key.Y.FillBytes(make([]byte, 48))
	return jwk{"crv": "P-384", "kty": "EC", "x": base64url.EncodeToString(x), "y": base64url.EncodeToString(y)}
}

func (s signer) public(suite string) jwk {
	if suite == classical {
		return p384JWK(&s.p384.PublicKey)
	}
	half := p384JWK(&s.p384.PublicKey)
	pub := slices.Concat(s.mlDSA.Public().(*mldsa87.PublicKey).Bytes(), []byte{4}, half.bytes("x"), half.bytes("y"))
	return jwk{"alg": "ML-DSA-87-ES384", "kty": "AKP", "pub": base64url.EncodeToString(pub)}
}

const label = "COMPSIG-MLDSA87-ECDSA-P384-SHA512"

// M'
func prepared(message []byte) []byte {
	digest := sha512.Sum512(message)
	return slices.Concat([]byte("CompositeAlgorithmSignatures2025"+label+"\x00"), digest[:])
}

func (s signer) sign(suite string, message []byte) ([]byte, error) {
	if suite == classical {
		r, n, err := ecdsa.Sign(rand.Reader, s.p384, sha384(message))
		if err != nil {
			return nil, err
		}
		return slices.Concat(r.FillBytes(make([]byte, 48)), n.FillBytes(make([]byte, 48))), nil
	}
	made := make([]byte, mldsa87.SignatureSize)
	if err := mldsa87.SignTo(s.mlDSA, prepared(message), []byte(label), true, made); err != nil {
		return nil, err
	}
	der, err := ecdsa.SignASN1(rand.Reader, s.p384, sha384(prepared(message)))
	return append(made, der...), err
}

func (v verifier) verify(suite string, message, signature []byte) bool {
	if suite == classical {
		if len(signature) != 96 {
			return false
		}
		r, n := new(big.Int).SetBytes(signature[:48]), new(big.Int).SetBytes(signature[48:])
		return ecdsa.Verify(v.p384, sha384(message), r, n)
	}
	if v.mlDSA == nil || len(signature) < mldsa87.SignatureSize {
		return false
	}
	first, der := signature[:mldsa87.SignatureSize], signature[mldsa87.SignatureSize:]
	return mldsa87.Verify(v.mlDSA, prepared(message), []byte(label), first) &&
		ecdsa.VerifyASN1(v.p384, sha384(prepared(message)), der)
}

func jobMessage(header []byte) []byte {
	return slices.Concat([]byte("cji-job-sig/1\x00"), sha384(header))
}

// [6]
func admissionMessage(nonce []byte, receiptKey jwk, header []byte, attempt int) []byte {
	return slices.Concat([]byte("cji-admit/1\x00"), nonce, receiptKey.digest(), sha384(header), u32(attempt))
}

// ---- [4] the data key

// A new data key and its wrapped_dek for the worker's RSA key and, in hybrid-1, its ML-KEM key.
func newDataKey(worker, workerMLKEM jwk) (dataKey, wrapped []byte, err error) {
	public, err := rsaKey(worker)
	if err != nil {
		return nil, nil, err
	}
	r := random(32)
	sealedR, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, r, nil)
	if err != nil || workerMLKEM == nil {
		return r, sealedR, err
	}
	kem, err := mlKEMKey(workerMLKEM)
	if err != nil {
		return nil, nil, err
	}
	ss, ct := kem.Encapsulate()
	wrapped = append(ct, sealedR...)
	return combined(ss, r, wrapped, workerMLKEM, worker), wrapped, nil
}

func combined(ss, r, wrapped []byte, kem, rsa jwk) []byte {
	info := slices.Concat([]byte("cji-hybrid-1/dek\x00"), kem.digest(), rsa.digest(), sha384(wrapped))
	key, err := hkdf.Key(sha512.New384, slices.Concat(ss, r), nil, string(info), 32)
	if err != nil {
		panic(err)
	}
	return key
}

// A key of 32 bytes under RSA-OAEP-256.
func unwrapped(key *rsa.PrivateKey, data []byte) ([]byte, error) {
	if len(data) != key.Size() {
		return nil, errors.New("the wrapped key has another length")
	}
	found, err := rsa.DecryptOAEP(sha256.New(), nil, key, data, nil)
	if err == nil && len(found) != 32 {
		err = errors.New("it is no key of 32 bytes")
	}
	return found, err
}

// ---- [4] the result key

// A recipient's private half: an RSA key, or an ML-KEM key and one of P-384.
type recipient struct {
	rsa   *rsa.PrivateKey
	mlKEM *mlkem.DecapsulationKey1024
	p384  *ecdh.PrivateKey
}

func (k recipient) resultKey(suite string, wrapped, header []byte) ([]byte, error) {
	if suite == classical {
		return unwrapped(k.rsa, wrapped)
	}
	if len(wrapped) != mlKEMBytes+pointBytes+32+16 {
		return nil, errors.New("the wrapped key has another length")
	}
	steps, err := k.hpke(wrapped[:mlKEMBytes], wrapped[mlKEMBytes:mlKEMBytes+pointBytes], header)
	if err != nil {
		return nil, err
	}
	return gcm(steps.key).Open(nil, steps.nonce, wrapped[mlKEMBytes+pointBytes:], nil)
}

type hpkeSteps struct{ ss, secret, key, nonce []byte }

func (k recipient) hpke(ctM, ctT, header []byte) (hpkeSteps, error) {
	var steps hpkeSteps
	ssM, err := k.mlKEM.Decapsulate(ctM)
	if err != nil {
		return steps, err
	}
	peer, err := ecdh.P384().NewPublicKey(ctT)
	if err != nil {
		return steps, err
	}
	ssT, err := k.p384.ECDH(peer)
	if err != nil {
		return steps, err
	}
	ss := sha3.Sum256(slices.Concat(ssM, ssT, ctT, k.p384.PublicKey().Bytes(), []byte("MLKEM1024-P384")))
	steps.ss = ss[:]
	suite := "HPKE\x00\x51\x00\x02\x00\x02"
	extract := func(salt []byte, label string, ikm []byte) []byte {
		mac := hmac.New(sha512.New384, salt)
		mac.Write(slices.Concat([]byte("HPKE-v1"+suite+label), ikm))
		return mac.Sum(nil)
	}
	info := slices.Concat([]byte("cji-result-key/1\x00"), sha384(header))
	context := slices.Concat([]byte{0}, extract(nil, "psk_id_hash", nil), extract(nil, "info_hash", info))
	steps.secret = extract(steps.ss, "secret", nil)
	labelled := func(label string, n int) []byte {
		return expand(steps.secret, n, []byte{0, byte(n)}, []byte("HPKE-v1"+suite+label), context)
	}
	steps.key, steps.nonce = labelled("key", 32), labelled("base_nonce", 12)
	return steps, nil
}

// ---- PKCS#8 in PEM, of a pair the post-quantum key first

var (
	oidMLDSA = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}
	oidMLKEM = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}
)

// What PKCS#8 in DER holds: a key of the standard library, or the seed of a post-quantum one.
func privateKey(der []byte) (any, error) {
	var outer struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, err
	}
	switch oid := outer.Algorithm.Algorithm; { // of both only the form [0] seed, RFC 9881 and RFC 9935
	case oid.Equal(oidMLDSA) && len(outer.Key) == 34 && bytes.HasPrefix(outer.Key, []byte{0x80, 32}):
		_, key := mldsa87.NewKeyFromSeed((*[32]byte)(outer.Key[2:]))
		return key, nil
	case oid.Equal(oidMLKEM) && len(outer.Key) == 66 && bytes.HasPrefix(outer.Key, []byte{0x80, 64}):
		return mlkem.NewDecapsulationKey1024(outer.Key[2:])
	}
	return x509.ParsePKCS8PrivateKey(der)
}

func privateKeys(file []byte) (signer, recipient, error) {
	var (
		signing signer
		opening recipient
	)
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		found, err := privateKey(block.Bytes)
		if err != nil {
			return signing, opening, err
		}
		if err := place(found, &signing, &opening); err != nil {
			return signing, opening, err
		}
	}
	return signing, opening, nil
}

func place(found any, signing *signer, opening *recipient) (err error) {
	switch key := found.(type) {
	case *rsa.PrivateKey:
		opening.rsa = key
	case *mlkem.DecapsulationKey1024:
		opening.mlKEM = key
	case *mldsa87.PrivateKey:
		signing.mlDSA = key
	case *ecdsa.PrivateKey:
		signing.p384 = key
		opening.p384, err = key.ECDH()
	default:
		err = fmt.Errorf("a key of another kind than %v", slices.Sorted(maps.Keys(hashed)))
	}
	return err
}
