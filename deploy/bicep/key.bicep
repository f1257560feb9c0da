// The customer's master key (CMK), its release policy and the role that may release it.
//
// The resource manager creates the first version only: a later deployment neither changes the release policy nor
// creates a new version. This resource type cannot make the policy immutable; the README has the command.

@description('Name of the vault that holds the key.')
param vaultName string

@description('Name of the key.')
param keyName string

@description('Issuer of the attestation tokens that the release policy accepts: the agency\'s own provider.')
param attestationAuthority string

@description('Object id of the worker\'s identity.')
param releasePrincipalId string

// Placeholder and file are checked together: the deployed policy must be the reviewed one.
var releasePolicy = replace(loadTextContent('../policy/release-policy.json'), '__ATTESTATION_AUTHORITY__', attestationAuthority)

// base64url without padding, RFC 4648 section 5
var releasePolicyData = replace(replace(replace(base64(releasePolicy), '+', '-'), '/', '_'), '=', '')

// "Key Vault Crypto Service Release User": keys/release/action and nothing else
var releaseUserRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '08bbd89e-9f13-488c-ac41-acfcb10c90ab')

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource key 'Microsoft.KeyVault/vaults/keys@2026-02-01' = {
  parent: vault
  name: keyName
  properties: {
    kty: 'RSA-HSM'
    keySize: 3072
    // Only the public operation. With decrypt or unwrapKey, a vault role alone could open data keys inside the
    // vault, without any attestation.
    keyOps: [
      'wrapKey'
    ]
    attributes: {
      enabled: true
      exportable: true
    }
    release_policy: {
      contentType: 'application/json; charset=utf-8'
      data: releasePolicyData
    }
  }
}

resource releaseRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: key
  name: guid(key.id, releasePrincipalId, releaseUserRole)
  properties: {
    roleDefinitionId: releaseUserRole
    principalId: releasePrincipalId
    principalType: 'ServicePrincipal'
  }
}

output keyUriWithVersion string = key.properties.keyUriWithVersion
