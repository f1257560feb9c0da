// The worker's identity. It is user-assigned so that the right to release the key outlives a reimaged or
// replaced instance, and so that the role assignment can be made before the first instance starts.

@description('Name of the identity.')
param name string

@description('Azure region.')
param location string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
}

output id string = identity.id
output principalId string = identity.properties.principalId
output clientId string = identity.properties.clientId
