// Jobs by reference for the workers of main.bicep: storage account, its key, roles, scaling by waiting tickets.
// Deployed after main.bicep, into the same resource group.

targetScope = 'resourceGroup'

@description('Short name of the deployment, as in main.bicep.')
@minLength(3)
@maxLength(12)
param prefix string

@description('Azure region, as in main.bicep.')
param location string = resourceGroup().location

@description('Replication of the storage account. Standard_ZRS stays in the region.')
@allowed([
  'Standard_ZRS'
  'Standard_LRS'
])
param storageSku string = 'Standard_ZRS'

@description('Days after which sealed jobs and results are deleted.')
@minValue(2)
param resultDays int = 30

@description('Days for which an entry of the ledger cannot be changed. A header is valid for a day at most.')
@minValue(3)
param ledgerDays int = 400

@description('Object ids of the identities that submit jobs by reference.')
@minLength(1)
param submitterPrincipalIds array

@description('Object id of the workers\' identity, an output of main.bicep.')
param keyholderPrincipalId string

@description('Object id of the fleet processes\' identity, an output of main.bicep.')
param fleetPrincipalId string

@description('Resource id of the workers\' scale set, an output of main.bicep.')
param scaleSetId string

@description('Least number of workers.')
@minValue(1)
param minimumWorkers int = 1

@description('Largest number of workers. docs/fleet.md states how many one vault can serve.')
@maxValue(400)
param maximumWorkers int = 10

@description('Waiting tickets for each worker above which workers are added.')
@minValue(1)
param ticketsPerWorker int = 4

@description('Resource id of the subnet for private endpoints.')
param endpointSubnetId string

@description('Resource id of the private DNS zone of Blob Storage (privatelink.blob.core.windows.net in the public cloud).')
param blobPrivateDnsZoneId string

@description('Resource id of the private DNS zone of Queue Storage (privatelink.queue.core.windows.net in the public cloud).')
param queuePrivateDnsZoneId string

@description('Resource id of the Log Analytics workspace for audit logs.')
param auditWorkspaceId string

var suffix = uniqueString(resourceGroup().id)

module key 'storageKey.bicep' = {
  name: 'storage-key'
  params: {
    vaultName: take('${prefix}-st-${suffix}', 24)
    identityName: '${prefix}-storage'
    location: location
    auditWorkspaceId: auditWorkspaceId
  }
}

module storage 'storage.bicep' = {
  name: 'storage'
  params: {
    name: take(toLower(replace('${prefix}${suffix}', '-', '')), 24)
    location: location
    skuName: storageSku
    encryptionIdentityId: key.outputs.identityId
    keyVaultUri: key.outputs.vaultUri
    keyName: key.outputs.keyName
    resultDays: resultDays
    ledgerDays: ledgerDays
    endpointSubnetId: endpointSubnetId
    blobPrivateDnsZoneId: blobPrivateDnsZoneId
    queuePrivateDnsZoneId: queuePrivateDnsZoneId
    auditWorkspaceId: auditWorkspaceId
  }
}

module roles 'storageRoles.bicep' = {
  name: 'storage-roles'
  params: {
    accountName: storage.outputs.name
    submitterPrincipalIds: submitterPrincipalIds
    fleetPrincipalId: fleetPrincipalId
    keyholderPrincipalId: keyholderPrincipalId
  }
}

module autoscale 'autoscale.bicep' = {
  name: 'autoscale'
  params: {
    name: '${prefix}-worker'
    location: location
    scaleSetId: scaleSetId
    queueId: storage.outputs.queueId
    minimum: minimumWorkers
    maximum: maximumWorkers
    ticketsPerWorker: ticketsPerWorker
  }
}

// The values for worker.toml and client.toml.
output blobUrl string = 'https://${storage.outputs.name}.blob.${environment().suffixes.storage}'
output queueUrl string = 'https://${storage.outputs.name}.queue.${environment().suffixes.storage}'
