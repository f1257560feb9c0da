// One private endpoint and its name in the private DNS zone.

@description('Name of the endpoint.')
param name string

@description('Azure region.')
param location string

@description('Resource id of the subnet.')
param subnetId string

@description('Resource id of the service behind the endpoint.')
param targetId string

@description('Sub-resource of the service, such as vault.')
param groupId string

@description('Resource id of the private DNS zone, which the agency\'s hub owns.')
param privateDnsZoneId string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          privateLinkServiceId: targetId
          groupIds: [
            groupId
          ]
        }
      }
    ]
  }
}

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: privateDnsZoneId
        }
      }
    ]
  }
}
