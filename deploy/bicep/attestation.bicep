// The agency's own attestation provider. A shared regional provider would do the same checks, but its
// policy belongs to somebody else and the release policy could not tell whose policy ran. The policy itself,
// ../policy/attestation-policy.txt, is data of the provider, which the resource manager cannot set: `cji provider policy
// set` does.

@description('Name of the provider: 3 to 24 letters, digits and hyphens.')
param name string

@description('Azure region.')
param location string

@description('JSON Web Keys (kty, x5c, ...) that alone may sign the provider\'s policy. They can be set at creation only. Empty means that the policy is changed by anyone with the contributor role.')
param policySigningKeys array

@description('Resource id of the subnet for private endpoints.')
param endpointSubnetId string

@description('Resource id of the private DNS zone of the attestation service.')
param privateDnsZoneId string

resource provider 'Microsoft.Attestation/attestationProviders@2021-06-01' = {
  name: name
  location: location
  properties: {
    policySigningCertificates: empty(policySigningKeys) ? null : {
      keys: policySigningKeys
    }
    // Key Vault reads this provider's signing keys over its public address when it judges a token, so the
    // public address stays reachable; workers use the private endpoint below.
    publicNetworkAccess: 'Enabled'
    // About the TPM attestation type, which the worker does not use.
    tpmAttestationAuthentication: 'Enabled'
  }
}

module endpoint 'privateEndpoint.bicep' = {
  name: '${name}-endpoint'
  params: {
    name: '${name}-pe'
    location: location
    subnetId: endpointSubnetId
    targetId: provider.id
    groupId: 'standard'
    privateDnsZoneId: privateDnsZoneId
  }
}

@description('Base address of the provider, which is also the issuer of its tokens; without a trailing slash.')
output authority string = provider.properties.attestUri
