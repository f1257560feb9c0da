// The key that encrypts the storage account at rest, in a vault of its own.
//
// Azure Storage reads this key as a trusted service of Microsoft, past the vault's firewall. The vault of the master key
// lets nobody past, so this key is not in it. Records are sealed before they reach the account: this key protects
// names, sizes and times.

@description('Name of the vault, unique in the cloud, 3 to 24 characters.')
param vaultName string

@description('Name of the identity with which the account reads the key.')
param identityName string

@description('Azure region.')
param location string

@description('Resource id of the Log Analytics workspace for the vault\'s audit log.')
param auditWorkspaceId string

// "Key Vault Crypto Service Encryption User": get, wrap and unwrap
var encryptionUserRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'e147488a-f6f5-4113-8e2d-b22465e65bf6')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: identityName
  location: location
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: vaultName
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'premium'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: 'Disabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Deny'
      ipRules: []
      virtualNetworkRules: []
    }
  }
}

resource key 'Microsoft.KeyVault/vaults/keys@2026-02-01' = {
  parent: vault
  name: 'storage'
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

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
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

output identityId string = identity.id
output vaultUri string = vault.properties.vaultUri
output keyName string = key.name
