metadata name = 'Confidential CJI worker'
metadata description = 'One entry point for Azure Commercial and Azure Government: identities, logs, attestation provider, vault or Managed HSM, keys, disks, load balancer, scale set, jobs by reference, budget. The network (subnets, private DNS zones, private link scope) belongs to the agency\'s landing zone.'

targetScope = 'resourceGroup'

@description('Required. Short name of the deployment; every resource name starts with it.')
@minLength(3)
@maxLength(12)
param prefix string

@description('Optional. Azure region. Criminal justice information, its keys and the services that control them stay in the United States.')
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
])
param location string = resourceGroup().location

@description('Required. Tag of every resource: who answers for it, such as an address.')
@minLength(1)
param owner string

@description('Required. Tag of every resource: who pays for it.')
@minLength(1)
param costCenter string

@description('Optional. Further tags of every resource.')
param tags object = {}

@description('Optional. Name of the master key.')
@minLength(1)
param keyName string = 'cji-cmk'

@description('Optional. Where the master key is: a Premium vault, or a Managed HSM of your own.')
@allowed([
  'premiumVault'
  'managedHsm'
])
param keyStore string = 'premiumVault'

@description('Optional. Object ids of the first administrators of the Managed HSM; required with it.')
param hsmAdministratorObjectIds array = []

@description('Optional. Whether the Managed HSM was activated. Its key can be made only then: deploy twice.')
param hsmActivated bool = false

@description('Optional. Confidential VM size, AMD SEV-SNP on Genoa or Intel TDX on Emerald Rapids. The v5 families run on Milan, whose chip keys can be extracted, and on older processors of Intel.')
@allowed([
  'Standard_DC4as_v6'
  'Standard_DC8as_v6'
  'Standard_DC16as_v6'
  'Standard_DC32as_v6'
  'Standard_DC48as_v6'
  'Standard_DC64as_v6'
  'Standard_EC4as_v6'
  'Standard_EC8as_v6'
  'Standard_EC16as_v6'
  'Standard_EC32as_v6'
  'Standard_EC48as_v6'
  'Standard_EC64as_v6'
  'Standard_DC4es_v6'
  'Standard_DC8es_v6'
  'Standard_DC16es_v6'
  'Standard_DC32es_v6'
  'Standard_DC48es_v6'
  'Standard_DC64es_v6'
  'Standard_EC4es_v6'
  'Standard_EC8es_v6'
  'Standard_EC16es_v6'
  'Standard_EC32es_v6'
  'Standard_EC48es_v6'
  'Standard_EC64es_v6'
])
param vmSize string = 'Standard_DC4as_v6'

@description('Optional. Number of workers.')
@minValue(1)
param instanceCount int = 2

@description('Optional. Availability zones; empty if the region has none.')
@maxLength(3)
param zones array = []

@description('Required. Resource id of a version of the worker\'s image in a gallery, whose definition supports confidential VMs.')
@minLength(1)
param imageVersionResourceId string

@description('Optional. The signed configuration bundle (cji bundle make), or the JSON that names its blob, in base64. Nothing in it is secret.')
@maxLength(87384)
param userData string = ''

@description('Optional. Size of each worker\'s disk for trail and ledger, in GiB.')
@minValue(32)
param stateDiskSizeGB int = 64

@description('Required. Object id of the service principal of the Confidential VM Orchestrator (bf7b6499-ff71-4aa2-97a4-f372087be7f0) in this tenant.')
@minLength(36)
@maxLength(36)
param orchestratorPrincipalId string

@description('Required. Resource id of the subnet of the workers.')
@minLength(1)
param workerSubnetResourceId string

@description('Required. Resource id of the subnet for private endpoints.')
@minLength(1)
param endpointSubnetResourceId string

@description('Required. Resource id of the resource group with the private DNS zones, in the agency\'s hub.')
@minLength(1)
param dnsResourceGroupId string

@description('Required. Address ranges of the upstream apps that may call the worker.')
@minLength(1)
param clientAddressPrefixes array

@description('Optional. Port of the worker\'s TLS door, as in worker.toml.')
@minValue(1)
@maxValue(65535)
param workerPort int = 8443

@description('Optional. Port at which the worker answers the load balancer\'s probe.')
@minValue(1)
@maxValue(65535)
param probePort int = 9465

@description('Optional. Whether workers may reach Microsoft Entra: true if their policy has entra tables, see docs/entra.md.')
param entraTokens bool = false

@description('Optional. Addresses through which TDX workers fetch Intel\'s collateral over HTTPS: those of api.trustedservices.intel.com and certificates.trustedservices.intel.com, or of a firewall.')
param collateralAddressPrefixes array = []

@description('Optional. JSON Web Keys, the only ones that may sign the attestation provider\'s policy; can be set only at creation.')
param policySigningKeys array = []

@description('Optional. Name of the administrator account.')
@minLength(1)
param adminUsername string = 'cjiadmin'

@description('Required. SSH public key of the administrator account.')
@minLength(1)
param adminPublicKey string

@description('Optional. Days for which logs can be queried. CJISSECPOL AU-11: a year at least.')
@minValue(365)
@maxValue(730)
param logRetentionInDays int = 365

@description('Optional. Days for which the worker\'s events are kept, with the archive.')
@minValue(365)
@maxValue(4383)
param auditRetentionInDays int = 1096

@description('Optional. Resource id of a dedicated cluster of Log Analytics under the agency\'s key; without one, logs at rest are under a key of Microsoft\'s.')
param logClusterResourceId string = ''

@description('Optional. Whether to deploy jobs by reference: storage, queues, scaling by waiting tickets.')
param jobsByReference bool = true

@description('Optional. Object ids of the identities that submit jobs by reference; required with them.')
param submitterPrincipalIds array = []

@description('Optional. Replication of the storage account. Both stay in the region.')
@allowed([
  'Standard_ZRS'
  'Standard_LRS'
])
param storageSku string = 'Standard_ZRS'

@description('Optional. Days after which sealed jobs and results are deleted.')
@minValue(2)
param resultDays int = 30

@description('Optional. Days for which an entry of the ledger cannot be changed. A header is valid for a day at most.')
@minValue(3)
param ledgerDays int = 400

@description('Optional. Largest number of workers. docs/fleet.md states how many one vault can serve.')
@minValue(1)
@maxValue(400)
param maximumWorkers int = 10

@description('Optional. Waiting tickets for each worker above which workers are added.')
@minValue(1)
param ticketsPerWorker int = 4

@description('Required. Monthly budget in the currency of the subscription.')
@minValue(1)
param budgetAmount int

@description('Required. First day of a month, such as 2027-01-01.')
@minLength(10)
@maxLength(10)
param budgetStartDate string

@description('Required. Addresses that get the warning when the budget is used up.')
@minLength(1)
param budgetContactEmails array

// Allowed sizes with their isolation, and allowed regions with Microsoft's attestation provider there. The policy initiative
// reads the same files.
var sizes = loadJsonContent('sizes.json')
var regions = loadJsonContent('regions.json')
var isolation = sizes[vmSize]

var privateDnsZones = {
  AzureCloud: {
    vault: 'privatelink.vaultcore.azure.net'
    managedHsm: 'privatelink.managedhsm.azure.net'
    attestation: 'privatelink.attest.azure.net'
  }
  AzureUSGovernment: {
    vault: 'privatelink.vaultcore.usgovcloudapi.net'
    managedHsm: 'privatelink.managedhsm.usgovcloudapi.net'
    attestation: 'privatelink.attest.azure.us'
  }
}
var zoneNames = privateDnsZones[environment().name]
var dnsZones = '${dnsResourceGroupId}/providers/Microsoft.Network/privateDnsZones'

var allTags = union(tags, {
  owner: owner
  costCenter: costCenter
  dataClassification: 'CJI-sealed'
  deployment: prefix
})

var suffix = uniqueString(resourceGroup().id)
// names of vaults and providers are unique across the cloud and at most 24 characters long
var vaultName = take('${prefix}-kv-${suffix}', 24)
var hsmName = take('${prefix}-hsm-${suffix}', 24)
var serviceVaultName = take('${prefix}-kvs-${suffix}', 24)
var providerName = take('${prefix}-at-${suffix}', 24)

module identity 'identity.bicep' = {
  name: 'identity'
  params: {
    name: '${prefix}-id-worker'
    location: location
    tags: allTags
  }
}

// The fleet process reads and writes sealed blobs with an identity of its own, see fleet.bicep.
module fleetIdentity 'identity.bicep' = {
  name: 'fleet-identity'
  params: {
    name: '${prefix}-id-fleet'
    location: location
    tags: allTags
  }
}

// The deliverer of the audit trail may publish to one data collection rule, and nothing else.
module auditIdentity 'identity.bicep' = {
  name: 'audit-identity'
  params: {
    name: '${prefix}-id-audit'
    location: location
    tags: allTags
  }
}

module logs 'logs.bicep' = {
  name: 'logs'
  params: {
    name: prefix
    location: location
    tags: allTags
    retentionInDays: logRetentionInDays
    totalRetentionInDays: auditRetentionInDays
    clusterResourceId: logClusterResourceId
    publisherPrincipalId: auditIdentity.outputs.principalId
  }
}

module attestation 'attestation.bicep' = {
  name: 'attestation'
  params: {
    name: providerName
    location: location
    tags: allTags
    policySigningKeys: policySigningKeys
    endpointSubnetResourceId: endpointSubnetResourceId
    privateDnsZoneResourceId: '${dnsZones}/${zoneNames.attestation}'
    workspaceResourceId: logs.outputs.resourceId
  }
}

module vault 'vault.bicep' = if (keyStore == 'premiumVault') {
  name: 'vault'
  params: {
    name: vaultName
    location: location
    tags: allTags
    endpointSubnetResourceId: endpointSubnetResourceId
    privateDnsZoneResourceId: '${dnsZones}/${zoneNames.vault}'
    workspaceResourceId: logs.outputs.resourceId
  }
}

module key 'key.bicep' = if (keyStore == 'premiumVault') {
  name: 'key'
  params: {
    vaultName: vaultName
    name: keyName
    isolation: isolation
    attestationAuthority: attestation.outputs.authority
    releasePrincipalId: identity.outputs.principalId
  }
  dependsOn: [
    vault
  ]
}

module hsm 'managedHsm.bicep' = if (keyStore == 'managedHsm') {
  name: 'hsm'
  params: {
    name: hsmName
    location: location
    tags: allTags
    administratorObjectIds: hsmAdministratorObjectIds
    endpointSubnetResourceId: endpointSubnetResourceId
    privateDnsZoneResourceId: '${dnsZones}/${zoneNames.managedHsm}'
    workspaceResourceId: logs.outputs.resourceId
  }
}

module hsmKey 'hsmKey.bicep' = if (keyStore == 'managedHsm' && hsmActivated) {
  name: 'hsm-key'
  params: {
    hsmName: hsmName
    name: keyName
    isolation: isolation
    attestationAuthority: attestation.outputs.authority
  }
  dependsOn: [
    hsm
  ]
}

module serviceVault 'serviceVault.bicep' = {
  name: 'service-vault'
  params: {
    name: serviceVaultName
    location: location
    tags: allTags
    workspaceResourceId: logs.outputs.resourceId
  }
}

module diskKeys 'diskKeys.bicep' = {
  name: 'disk-keys'
  params: {
    vaultName: serviceVault.outputs.name
    name: prefix
    location: location
    tags: allTags
    isolation: isolation
    regionalAuthority: regions[location]
    orchestratorPrincipalId: orchestratorPrincipalId
  }
}

module networkSecurity 'networkSecurity.bicep' = {
  name: 'network-security'
  params: {
    name: '${prefix}-nsg'
    location: location
    tags: allTags
    clientAddressPrefixes: clientAddressPrefixes
    workerPort: workerPort
    probePort: probePort
    entraTokens: entraTokens
    collateralAddressPrefixes: collateralAddressPrefixes
    workspaceResourceId: logs.outputs.resourceId
  }
}

module loadBalancer 'loadBalancer.bicep' = {
  name: 'load-balancer'
  params: {
    name: '${prefix}-lbi'
    location: location
    tags: allTags
    zones: zones
    subnetResourceId: workerSubnetResourceId
    workerPort: workerPort
    probePort: probePort
    workspaceResourceId: logs.outputs.resourceId
  }
}

module scaleSet 'scaleset.bicep' = {
  name: 'scaleset'
  params: {
    name: '${prefix}-vmss'
    location: location
    tags: allTags
    vmSize: vmSize
    instanceCount: instanceCount
    zones: zones
    imageVersionResourceId: imageVersionResourceId
    identityResourceIds: [
      identity.outputs.resourceId
      fleetIdentity.outputs.resourceId
      auditIdentity.outputs.resourceId
    ]
    subnetResourceId: workerSubnetResourceId
    networkSecurityGroupResourceId: networkSecurity.outputs.resourceId
    poolResourceId: loadBalancer.outputs.poolResourceId
    probeResourceId: loadBalancer.outputs.probeResourceId
    osDiskEncryptionSetResourceId: diskKeys.outputs.resourceId
    dataDiskEncryptionSetResourceId: diskKeys.outputs.dataSetResourceId
    stateDiskSizeGB: stateDiskSizeGB
    userData: userData
    adminUsername: adminUsername
    adminPublicKey: adminPublicKey
    workspaceResourceId: logs.outputs.resourceId
  }
}

module fleet 'fleet.bicep' = if (jobsByReference) {
  name: 'fleet'
  params: {
    prefix: prefix
    location: location
    tags: allTags
    storageSku: storageSku
    resultDays: resultDays
    ledgerDays: ledgerDays
    submitterPrincipalIds: submitterPrincipalIds
    keyholderPrincipalId: identity.outputs.principalId
    fleetPrincipalId: fleetIdentity.outputs.principalId
    scaleSetResourceId: scaleSet.outputs.resourceId
    minimumWorkers: instanceCount
    maximumWorkers: maximumWorkers
    ticketsPerWorker: ticketsPerWorker
    vaultName: serviceVault.outputs.name
    vaultUri: serviceVault.outputs.uri
    endpointSubnetResourceId: endpointSubnetResourceId
    blobPrivateDnsZoneResourceId: '${dnsZones}/privatelink.blob.${environment().suffixes.storage}'
    queuePrivateDnsZoneResourceId: '${dnsZones}/privatelink.queue.${environment().suffixes.storage}'
    workspaceResourceId: logs.outputs.resourceId
  }
}

module budget 'budget.bicep' = {
  name: 'budget'
  params: {
    name: '${prefix}-budget'
    amount: budgetAmount
    startDate: budgetStartDate
    contactEmails: budgetContactEmails
  }
}

// The values to pin in worker.toml, client.toml and audit.toml.

@description('Name of the scale set.')
output name string = scaleSet.outputs.name

@description('Resource id of the scale set.')
output resourceId string = scaleSet.outputs.resourceId

@description('Isolation of the workers, for `cji policy build --hardware`.')
output isolation string = isolation

@description('Address of the attestation provider.')
output attestationAuthority string = attestation.outputs.authority

@description('Address of the vault or Managed HSM of the master key.')
output vaultUri string = keyStore == 'premiumVault' ? vault!.outputs.uri : hsm!.outputs.uri

@description('Address of the master key\'s version; empty until a Managed HSM is activated.')
output keyUriWithVersion string = keyStore == 'premiumVault' ? key!.outputs.keyUriWithVersion : hsmActivated ? hsmKey!.outputs.keyUriWithVersion : ''

@description('Client id of the keyholder\'s identity.')
output identityClientId string = identity.outputs.clientId

@description('Object id of the keyholder\'s identity.')
output identityPrincipalId string = identity.outputs.principalId

@description('Client id of the fleet process\'s identity.')
output fleetClientId string = fleetIdentity.outputs.clientId

@description('Object id of the fleet process\'s identity.')
output fleetPrincipalId string = fleetIdentity.outputs.principalId

@description('Client id of the deliverer\'s identity, for audit.toml.')
output auditClientId string = auditIdentity.outputs.clientId

@description('Logs ingestion endpoint, for audit.toml.')
output ingestionEndpoint string = logs.outputs.ingestionEndpoint

@description('Immutable id of the data collection rule, for audit.toml.')
output ruleImmutableId string = logs.outputs.ruleImmutableId

@description('Resource id of the Log Analytics workspace.')
output workspaceResourceId string = logs.outputs.resourceId

@description('Private address of the load balancer, for the name that clients use.')
output address string = loadBalancer.outputs.address

@description('Address of Blob Storage; empty without jobs by reference.')
output blobUrl string = jobsByReference ? fleet!.outputs.blobUrl : ''

@description('Address of Queue Storage; empty without jobs by reference.')
output queueUrl string = jobsByReference ? fleet!.outputs.queueUrl : ''
