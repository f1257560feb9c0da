metadata name = 'Storage roles'
metadata description = 'Who may do what in the storage account. Every role is scoped to one container or queue, and none may delete a blob.'

@description('Required. Name of the storage account.')
param accountName string

@description('Required. Object ids of the identities that submit jobs.')
param submitterPrincipalIds array

@description('Required. Object id of the identity of the fleet processes.')
param fleetPrincipalId string

@description('Required. Object id of the identity of the keyholders.')
param keyholderPrincipalId string

var groupId = resourceGroup().id
var readerRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1') // Storage Blob Data Reader
var senderRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a') // Storage Queue Data Message Sender

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: accountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource jobs 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'jobs'
}

resource results 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'results'
}

resource shuffle 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'shuffle'
}

resource ledger 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'ledger'
}

resource bundles 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' existing = {
  parent: blobs
  name: 'bundles'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

resource jobsQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = {
  parent: queues
  name: 'jobs'
}

resource poisonQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = {
  parent: queues
  name: 'jobs-poison'
}

// Blocks of a large blob need the right to write; the built-in role with it may delete as well.
resource writerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(groupId, 'cji-writer')
  properties: {
    roleName: 'CJI sealed blob writer (${accountName})'
    description: 'Create, write and read blobs; delete none.'
    type: 'CustomRole'
    assignableScopes: [
      groupId
    ]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
        notDataActions: []
      }
    ]
  }
}

resource ledgerRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(groupId, 'cji-ledger')
  properties: {
    roleName: 'CJI ledger (${accountName})'
    description: 'Create blobs and read them; change and delete none.'
    type: 'CustomRole'
    assignableScopes: [
      groupId
    ]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
        notDataActions: []
      }
    ]
  }
}

// To renew a lease is to update a message, which the built-in processor's role may not.
resource ticketRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(groupId, 'cji-tickets')
  properties: {
    roleName: 'CJI ticket processor (${accountName})'
    description: 'Receive, lease, return and remove messages; see their number.'
    type: 'CustomRole'
    assignableScopes: [
      groupId
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/queueServices/queues/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/queueServices/queues/messages/read'
          'Microsoft.Storage/storageAccounts/queueServices/queues/messages/write'
          'Microsoft.Storage/storageAccounts/queueServices/queues/messages/process/action'
        ]
        notDataActions: []
      }
    ]
  }
}

// The built-in sender's role cannot see how many messages wait, which is what tells of poisoned tickets.
resource poisonRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(groupId, 'cji-poison')
  properties: {
    roleName: 'CJI poison queue sender (${accountName})'
    description: 'Add messages; see their number.'
    type: 'CustomRole'
    assignableScopes: [
      groupId
    ]
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/queueServices/queues/read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action'
        ]
        notDataActions: []
      }
    ]
  }
}

resource submitterJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for id in submitterPrincipalIds: {
  scope: jobs
  name: guid(jobs.id, id, 'writer')
  properties: {
    roleDefinitionId: writerRole.id
    principalId: id
    principalType: 'ServicePrincipal'
  }
}]

resource submitterResults 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for id in submitterPrincipalIds: {
  scope: results
  name: guid(results.id, id, 'reader')
  properties: {
    roleDefinitionId: readerRole
    principalId: id
    principalType: 'ServicePrincipal'
  }
}]

resource submitterTickets 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for id in submitterPrincipalIds: {
  scope: jobsQueue
  name: guid(jobsQueue.id, id, 'sender')
  properties: {
    roleDefinitionId: senderRole
    principalId: id
    principalType: 'ServicePrincipal'
  }
}]

resource fleetJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: jobs
  name: guid(jobs.id, fleetPrincipalId, 'reader')
  properties: {
    roleDefinitionId: readerRole
    principalId: fleetPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource fleetResults 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: results
  name: guid(results.id, fleetPrincipalId, 'writer')
  properties: {
    roleDefinitionId: writerRole.id
    principalId: fleetPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource fleetShuffle 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: shuffle
  name: guid(shuffle.id, fleetPrincipalId, 'writer')
  properties: {
    roleDefinitionId: writerRole.id
    principalId: fleetPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource fleetTickets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: jobsQueue
  name: guid(jobsQueue.id, fleetPrincipalId, 'tickets')
  properties: {
    roleDefinitionId: ticketRole.id
    principalId: fleetPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource fleetPoison 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: poisonQueue
  name: guid(poisonQueue.id, fleetPrincipalId, 'sender')
  properties: {
    roleDefinitionId: poisonRole.id
    principalId: fleetPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource keyholderLedger 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: ledger
  name: guid(ledger.id, keyholderPrincipalId, 'ledger')
  properties: {
    roleDefinitionId: ledgerRole.id
    principalId: keyholderPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource keyholderBundles 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: bundles
  name: guid(bundles.id, keyholderPrincipalId, 'reader')
  properties: {
    roleDefinitionId: readerRole
    principalId: keyholderPrincipalId
    principalType: 'ServicePrincipal'
  }
}
