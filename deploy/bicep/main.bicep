// A confidential CJI worker in one resource group: identity, attestation provider, vault, key, scale set.
// The network (subnets, private DNS zones) and the Log Analytics workspace belong to the agency's landing zone.

targetScope = 'resourceGroup'

@description('Short name of the deployment; every resource name starts with it.')
@minLength(3)
@maxLength(12)
param prefix string

@description('Azure region. Criminal justice information, its keys and the services that control them stay in the United States.')
@allowed([
  'eastus'
  'eastus2'
  'centralus'
  'northcentralus'
  'southcentralus'
  'westcentralus'
  'westus'
  'westus2'
  'westus3'
  'usgovvirginia'
  'usgovarizona'
  'usgovtexas'
])
param location string = resourceGroup().location

@description('Name of the key.')
param keyName string = 'cji-cmk'

@description('Confidential VM size: AMD SEV-SNP on Genoa. The v5 families run on Milan, whose chip keys can be extracted.')
@allowed([
  'Standard_DC4as_v6'
  'Standard_DC8as_v6'
  'Standard_DC16as_v6'
  'Standard_EC4as_v6'
  'Standard_EC8as_v6'
  'Standard_EC16as_v6'
])
param vmSize string = 'Standard_DC4as_v6'

@description('Number of workers.')
@minValue(1)
param instanceCount int = 1

@description('Availability zones; empty if the region has none.')
param zones array = []

@description('Resource id of a gallery image with the worker installed; empty for the plain Ubuntu confidential image.')
param workerImageId string = ''

@description('Resource id of the subnet of the workers.')
param workerSubnetId string

@description('Resource id of the subnet for private endpoints.')
param endpointSubnetId string

@description('Resource id of the private DNS zone of Key Vault (privatelink.vaultcore.azure.net in the public cloud).')
param vaultPrivateDnsZoneId string

@description('Resource id of the private DNS zone of the attestation service (privatelink.attest.azure.net in the public cloud).')
param attestationPrivateDnsZoneId string

@description('Resource id of the Log Analytics workspace for the vault\'s audit log.')
param auditWorkspaceId string

@description('Address ranges of the upstream apps that may call the worker.')
@minLength(1)
param clientAddressPrefixes array

@description('Port of the worker\'s gRPC server, as in worker.toml.')
param workerPort int = 8443

@description('Whether workers may reach Microsoft Entra: true if their policy has entra tables, see docs/entra.md.')
param entraTokens bool = false

@description('JSON Web Keys, the only ones that may sign the attestation provider\'s policy; can be set only at creation.')
param policySigningKeys array = []

@description('Name of the administrator account.')
param adminUsername string = 'cjiadmin'

@description('SSH public key of the administrator account.')
param adminPublicKey string

var suffix = uniqueString(resourceGroup().id)
// names of vaults and providers are unique across the cloud and at most 24 characters long
var vaultName = take('${prefix}-kv-${suffix}', 24)
var providerName = take('${prefix}-at-${suffix}', 24)

module identity 'identity.bicep' = {
  name: 'identity'
  params: {
    name: '${prefix}-worker'
    location: location
  }
}

// The fleet process reads and writes sealed blobs with an identity of its own, see fleet.bicep.
module fleetIdentity 'identity.bicep' = {
  name: 'fleet-identity'
  params: {
    name: '${prefix}-fleet'
    location: location
  }
}

module attestation 'attestation.bicep' = {
  name: 'attestation'
  params: {
    name: providerName
    location: location
    policySigningKeys: policySigningKeys
    endpointSubnetId: endpointSubnetId
    privateDnsZoneId: attestationPrivateDnsZoneId
  }
}

module vault 'vault.bicep' = {
  name: 'vault'
  params: {
    name: vaultName
    location: location
    endpointSubnetId: endpointSubnetId
    privateDnsZoneId: vaultPrivateDnsZoneId
    auditWorkspaceId: auditWorkspaceId
  }
}

module key 'key.bicep' = {
  name: 'key'
  params: {
    vaultName: vault.outputs.name
    keyName: keyName
    attestationAuthority: attestation.outputs.authority
    releasePrincipalId: identity.outputs.principalId
  }
}

module scaleSet 'scaleset.bicep' = {
  name: 'scaleset'
  params: {
    name: '${prefix}-worker'
    location: location
    vmSize: vmSize
    instanceCount: instanceCount
    zones: zones
    workerImageId: workerImageId
    identityId: identity.outputs.id
    fleetIdentityId: fleetIdentity.outputs.id
    subnetId: workerSubnetId
    clientAddressPrefixes: clientAddressPrefixes
    workerPort: workerPort
    entraTokens: entraTokens
    adminUsername: adminUsername
    adminPublicKey: adminPublicKey
  }
}

// The values to pin in worker.toml.
output attestationAuthority string = attestation.outputs.authority
output vaultUri string = vault.outputs.uri
output keyUriWithVersion string = key.outputs.keyUriWithVersion
output identityClientId string = identity.outputs.clientId
output identityPrincipalId string = identity.outputs.principalId
output fleetClientId string = fleetIdentity.outputs.clientId
output fleetPrincipalId string = fleetIdentity.outputs.principalId
output scaleSetId string = scaleSet.outputs.id
