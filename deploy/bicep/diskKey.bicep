metadata name = 'Disk encryption set'
metadata description = 'Disks at rest under the agency\'s key, by the encryption of Azure\'s storage. The root of the OS disk is public and verified by the guest, so nothing on it depends on this key; the data disk has trail and replay ledger.'

@description('Required. Name of the vault that holds the key.')
param vaultName string

@description('Required. Beginning of the names.')
@minLength(3)
param name string

@description('Required. Azure region.')
param location string

@description('Required. Tags.')
param tags object

// "Key Vault Crypto Service Encryption User": get, wrap and unwrap
var encryptionUserRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'e147488a-f6f5-4113-8e2d-b22465e65bf6')

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-id-disk'
  location: location
  tags: tags
}

resource key 'Microsoft.KeyVault/vaults/keys@2026-02-01' = {
  parent: vault
  name: 'disk'
  properties: {
    kty: 'RSA-HSM'
    keySize: 3072
    keyOps: [
      'wrapKey'
      'unwrapKey'
    ]
    attributes: {
      enabled: true
      exportable: false
    }
  }
}

resource encryptionRole 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: key
  name: guid(key.id, identity.id, encryptionUserRole)
  properties: {
    roleDefinitionId: encryptionUserRole
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource encryptionSet 'Microsoft.Compute/diskEncryptionSets@2025-01-02' = {
  name: '${name}-des'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    encryptionType: 'EncryptionAtRestWithCustomerKey'
    rotationToLatestKeyVersionEnabled: true
    activeKey: {
      sourceVault: {
        id: vault.id
      }
      keyUrl: key.properties.keyUriWithVersion
    }
  }
  dependsOn: [
    encryptionRole
  ]
}

@description('Name of the disk encryption set.')
output name string = encryptionSet.name

@description('Resource id of the disk encryption set.')
output resourceId string = encryptionSet.id
