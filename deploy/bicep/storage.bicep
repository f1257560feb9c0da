metadata name = 'Storage of jobs by reference'
metadata description = 'Sealed parts, results and shuffle streams, the pool\'s ledger, two queues. Everything in it is ciphertext, a signed document or a name. Private, with Microsoft Entra\'s tokens only.'

@description('Required. Name of the account, unique in the cloud: lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('Required. Azure region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Replication. Both stay in the region.')
@allowed([
  'Standard_ZRS'
  'Standard_LRS'
])
param skuName string

@description('Required. Resource id of the identity with which the account reads its encryption key.')
param encryptionIdentityResourceId string

@description('Required. Address of the vault that has the encryption key.')
param keyVaultUri string

@description('Required. Name of the encryption key.')
param keyName string

@description('Required. Days after which sealed jobs and results are deleted.')
@minValue(2)
param resultDays int

@description('Required. Days for which nobody can change or delete an entry of the ledger. A header is valid for a day at most.')
@minValue(3)
param ledgerDays int

@description('Required. Resource id of the subnet for private endpoints.')
param endpointSubnetResourceId string

@description('Required. Resource id of the private DNS zone of Blob Storage.')
param blobPrivateDnsZoneResourceId string

@description('Required. Resource id of the private DNS zone of Queue Storage.')
param queuePrivateDnsZoneResourceId string

@description('Required. Resource id of the Log Analytics workspace.')
param workspaceResourceId string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${encryptionIdentityResourceId}': {}
    }
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    allowedCopyScope: 'PrivateLink'
    defaultToOAuthAuthentication: true
    isHnsEnabled: false
    isLocalUserEnabled: false
    isSftpEnabled: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Disabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Deny'
      ipRules: []
      virtualNetworkRules: []
    }
    encryption: {
      keySource: 'Microsoft.Keyvault'
      // Both can be set only at creation; without Account the queues would have a key of Microsoft's.
      requireInfrastructureEncryption: true
      identity: {
        userAssignedIdentity: encryptionIdentityResourceId
      }
      keyvaultproperties: {
        keyvaulturi: keyVaultUri
        keyname: keyName
      }
      services: {
        blob: {
          enabled: true
          keyType: 'Account'
        }
        queue: {
          enabled: true
          keyType: 'Account'
        }
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    // No role of a worker or submitter may delete a version: a receipt that is replaced stays readable for an operator.
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 90
    }
  }
}

resource jobs 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'jobs'
  properties: {
    publicAccess: 'None'
  }
}

resource results 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'results'
  properties: {
    publicAccess: 'None'
  }
}

resource shuffle 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'shuffle'
  properties: {
    publicAccess: 'None'
  }
}

resource ledger 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: 'ledger'
  properties: {
    publicAccess: 'None'
  }
}

// Write once: a job id that was used stays used. The operator locks it, see the README; only then is it final.
resource ledgerRetention 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-06-01' = {
  parent: ledger
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: ledgerDays
    allowProtectedAppendWrites: false
    allowProtectedAppendWritesAll: false
  }
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'shuffle'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                'shuffle/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterCreationGreaterThan: 3
                }
              }
              version: {
                delete: {
                  daysAfterCreationGreaterThan: 3
                }
              }
            }
          }
        }
        {
          name: 'jobs-and-results'
          type: 'Lifecycle'
          enabled: true
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                'jobs/'
                'results/'
              ]
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterCreationGreaterThan: resultDays
                }
              }
              version: {
                delete: {
                  daysAfterCreationGreaterThan: resultDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource jobsQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: 'jobs'
}

resource poisonQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: 'jobs-poison'
}

resource accountMetrics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: account
  name: 'audit'
  properties: {
    workspaceId: workspaceResourceId
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource blobLog 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'audit'
  properties: {
    workspaceId: workspaceResourceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

resource queueLog 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: queues
  name: 'audit'
  properties: {
    workspaceId: workspaceResourceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

module blobEndpoint 'privateEndpoint.bicep' = {
  name: '${name}-blob-endpoint'
  params: {
    name: '${name}-blob-pe'
    location: location
    tags: tags
    subnetResourceId: endpointSubnetResourceId
    targetResourceId: account.id
    groupId: 'blob'
    privateDnsZoneResourceId: blobPrivateDnsZoneResourceId
  }
}

module queueEndpoint 'privateEndpoint.bicep' = {
  name: '${name}-queue-endpoint'
  params: {
    name: '${name}-queue-pe'
    location: location
    tags: tags
    subnetResourceId: endpointSubnetResourceId
    targetResourceId: account.id
    groupId: 'queue'
    privateDnsZoneResourceId: queuePrivateDnsZoneResourceId
  }
}

@description('Name of the account.')
output name string = account.name

@description('Resource id of the account.')
output resourceId string = account.id

@description('Resource id of the queue with the tickets.')
output queueResourceId string = jobsQueue.id
