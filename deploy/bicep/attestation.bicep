// The agency's own attestation provider. A shared regional provider performs the same checks, but under a policy that
// the agency does not own and that a release policy cannot identify. The provider's policy,
// ../policy/attestation-policy.txt, cannot be set by the resource manager: use `cji provider policy set`.

@description('Name of the provider: 3 to 24 letters, digits and hyphens.')
param name string

@description('Azure region.')
param location string

@description('JSON Web Keys (kty, x5c, ...), the only ones that may sign the provider\'s policy. They can be set only at creation. If empty, anyone with the contributor role can change the policy.')
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
    // Key Vault fetches this provider's signing keys from its public address to verify a token, so the public
    // address stays reachable; workers use the private endpoint below.
    publicNetworkAccess: 'Enabled'
    // For the TPM attestation type, which the worker does not use.
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
