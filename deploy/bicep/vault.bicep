// The vault of the customer's master key: premium (HSM-backed), unpurgeable, role-based, private.

@description('Name of the vault, unique in the cloud, 3 to 24 characters.')
param name string

@description('Azure region.')
param location string

@description('Resource id of the subnet for private endpoints.')
param endpointSubnetId string

@description('Resource id of the private DNS zone of Key Vault.')
param privateDnsZoneId string

@description('Resource id of the Log Analytics workspace for the vault\'s audit log.')
param auditWorkspaceId string

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
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
      bypass: 'None'
      defaultAction: 'Deny'
      ipRules: []
      virtualNetworkRules: []
    }
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

module endpoint 'privateEndpoint.bicep' = {
  name: '${name}-endpoint'
  params: {
    name: '${name}-pe'
    location: location
    subnetId: endpointSubnetId
    targetId: vault.id
    groupId: 'vault'
    privateDnsZoneId: privateDnsZoneId
  }
}

output name string = vault.name
output uri string = vault.properties.vaultUri
