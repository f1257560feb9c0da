// The storage account of jobs by reference: sealed parts, results and shuffle streams, the pool's ledger, two queues.
// Everything in it is ciphertext, a signed document or a name. Private, with Microsoft Entra's tokens only.

@description('Name of the account, unique in the cloud, 3 to 24 lower-case letters and digits.')
param name string

@description('Azure region.')
param location string

@description('Replication, for example Standard_ZRS.')
param skuName string

@description('Resource id of the identity with which the account reads its encryption key.')
param encryptionIdentityId string

@description('Address of the vault that has the encryption key.')
param keyVaultUri string

@description('Name of the encryption key.')
param keyName string

@description('Days after which sealed jobs and results are deleted.')
param resultDays int

@description('Days for which nobody can change or delete an entry of the ledger.')
param ledgerDays int

@description('Resource id of the subnet for private endpoints.')
param endpointSubnetId string

@description('Resource id of the private DNS zone of Blob Storage.')
param blobPrivateDnsZoneId string

@description('Resource id of the private DNS zone of Queue Storage.')
param queuePrivateDnsZoneId string

@description('Resource id of the Log Analytics workspace for the account\'s log.')
param auditWorkspaceId string

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${encryptionIdentityId}': {}
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
        userAssignedIdentity: encryptionIdentityId
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

resource blobLog 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'audit'
  properties: {
    workspaceId: auditWorkspaceId
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
    workspaceId: auditWorkspaceId
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
    subnetId: endpointSubnetId
    targetId: account.id
    groupId: 'blob'
    privateDnsZoneId: blobPrivateDnsZoneId
  }
}

module queueEndpoint 'privateEndpoint.bicep' = {
  name: '${name}-queue-endpoint'
  params: {
    name: '${name}-queue-pe'
    location: location
    subnetId: endpointSubnetId
    targetId: account.id
    groupId: 'queue'
    privateDnsZoneId: queuePrivateDnsZoneId
  }
}

output name string = account.name
output queueId string = jobsQueue.id
