metadata name = 'Network security group'
metadata description = 'Inbound traffic only to the worker\'s port, and from the load balancer\'s probe; outbound traffic only to the private network, and to Microsoft Entra if that is asked for.'

@description('Required. Name of the group.')
@minLength(3)
param name string

@description('Required. Azure region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Address ranges of the upstream apps that may call the worker.')
@minLength(1)
param clientAddressPrefixes array

@description('Required. Port of the worker\'s TLS door.')
param workerPort int

@description('Required. Port at which the worker answers the probe.')
param probePort int

@description('Required. Whether workers may reach Microsoft Entra, whose keys they need if their policy requires tokens.')
param entraTokens bool

@description('Required. Resource id of the Log Analytics workspace.')
param workspaceResourceId string

resource group 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'clients-in'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefixes: clientAddressPrefixes
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: string(workerPort)
        }
      }
      {
        name: 'probe-in'
        properties: {
          priority: 110
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'AzureLoadBalancer'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: string(probePort)
        }
      }
      {
        name: 'nothing-else-in'
        properties: {
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
      {
        name: 'private-endpoints-out'
        properties: {
          priority: 100
          direction: 'Outbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '443'
        }
      }
      {
        name: 'entra-out'
        properties: {
          priority: 200
          direction: 'Outbound'
          access: entraTokens ? 'Allow' : 'Deny'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'AzureActiveDirectory'
          destinationPortRange: '443'
        }
      }
      {
        // Azure's own addresses (IMDS, DNS, host agent) are not subject to this rule.
        name: 'nothing-else-out'
        properties: {
          priority: 4096
          direction: 'Outbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: group
  name: 'audit'
  properties: {
    workspaceId: workspaceResourceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

@description('Name of the group.')
output name string = group.name

@description('Resource id of the group.')
output resourceId string = group.id
