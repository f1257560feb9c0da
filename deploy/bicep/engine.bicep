metadata name = 'Engine of jobs in parts'
metadata description = 'Further entry point: the machine of the engine\'s image, its network security group and its identity. No key of the vault is released to it, and its identity has no right but to read its bundle, which the operator gives.'

@description('Required. Short name of the deployment; every resource name starts with it.')
@minLength(3)
@maxLength(12)
param prefix string

@description('Required. Azure region, that of the workers.')
@minLength(3)
param location string

@description('Required. Tags.')
param tags object

@description('Optional. Confidential VM size, one of sizes.json; the smallest is enough for names of tasks.')
@minLength(3)
param vmSize string = 'Standard_DC4as_v6'

@description('Required. Resource id of a version of the engine\'s image in a gallery: of the definition cji-engine.')
@minLength(1)
param imageVersionResourceId string

@description('Required. Resource id of the subnet of the engine.')
@minLength(1)
param subnetResourceId string

@description('Required. Address ranges of those who run jobs in parts.')
@minLength(1)
param conductorAddressPrefixes string[]

@description('Required. Address ranges of the workers\' machines.')
@minLength(1)
param workerAddressPrefixes string[]

@description('Required. Resource id of the disk encryption set of its disks.')
@minLength(1)
param diskEncryptionSetResourceId string

@description('Optional. Size of the disk that keeps the last serial number of its bundle, in GiB.')
@minValue(32)
param stateDiskSizeGB int = 32

@description('Optional. Name of the administrator account that Azure requires. The image has no login.')
@minLength(1)
param adminUsername string = 'cjiadmin'

@description('Required. SSH public key of the administrator account.')
@minLength(1)
param adminPublicKey string

@description('Optional. The bundle with engine.toml, or the name of its blob, in base64; empty for none. Nothing in it is secret.')
@maxLength(87384)
param userData string = ''

@description('Required. Resource id of the Log Analytics workspace.')
@minLength(1)
param workspaceResourceId string

module identity 'identity.bicep' = {
  params: {
    name: '${prefix}-id-engine'
    location: location
    tags: tags
  }
}

resource group 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${prefix}-nsg-engine'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'conductors-in'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefixes: conductorAddressPrefixes
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '8786'
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
        name: 'workers-out'
        properties: {
          priority: 100
          direction: 'Outbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefixes: workerAddressPrefixes
          destinationPortRange: '8444'
        }
      }
      {
        // The blob with its bundle, and the authority that certifies it.
        name: 'private-services-out'
        properties: {
          priority: 110
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
        name: 'dns-out'
        properties: {
          priority: 120
          direction: 'Outbound'
          access: 'Allow'
          protocol: '*'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
          destinationAddressPrefix: 'VirtualNetwork'
          destinationPortRange: '53'
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
    logAnalyticsDestinationType: 'Dedicated'
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

resource scaleSet 'Microsoft.Compute/virtualMachineScaleSets@2025-04-01' = {
  name: '${prefix}-vmss-engine'
  location: location
  tags: tags
  sku: {
    name: vmSize
    capacity: 1
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', '${prefix}-id-engine')}': {}
    }
  }
  properties: {
    orchestrationMode: 'Uniform'
    overprovision: false
    // One machine without state: a new image or bundle replaces it, and conductors go on.
    upgradePolicy: {
      mode: 'Manual'
      automaticOSUpgradePolicy: {
        enableAutomaticOSUpgrade: false
      }
    }
    automaticRepairsPolicy: {
      enabled: false
    }
    virtualMachineProfile: {
      // The machine verifies it with a key in its image, see docs/bundle.md.
      userData: empty(userData) ? null : userData
      securityProfile: {
        securityType: 'ConfidentialVM'
        encryptionAtHost: false
        uefiSettings: {
          secureBootEnabled: true
          vTpmEnabled: true
        }
      }
      storageProfile: {
        imageReference: {
          id: imageVersionResourceId
        }
        osDisk: {
          osType: 'Linux'
          createOption: 'FromImage'
          caching: 'ReadOnly'
          managedDisk: {
            storageAccountType: 'Premium_LRS'
            diskEncryptionSet: {
              id: diskEncryptionSetResourceId
            }
            securityProfile: {
              // As the image's version has it, see scaleset.bicep.
              securityEncryptionType: 'VMGuestStateOnly'
            }
          }
        }
        dataDisks: [
          {
            name: 'state'
            lun: 0
            createOption: 'Empty'
            caching: 'None'
            diskSizeGB: stateDiskSizeGB
            deleteOption: 'Delete'
            managedDisk: {
              storageAccountType: 'Premium_LRS'
              diskEncryptionSet: {
                id: diskEncryptionSetResourceId
              }
            }
          }
        ]
      }
      osProfile: {
        computerNamePrefix: 'cjiengine'
        adminUsername: adminUsername
        // Extensions and run-command would let a subscription's contributor run code on the VM.
        allowExtensionOperations: false
        linuxConfiguration: {
          disablePasswordAuthentication: true
          ssh: {
            publicKeys: [
              {
                path: '/home/${adminUsername}/.ssh/authorized_keys'
                keyData: adminPublicKey
              }
            ]
          }
        }
      }
      networkProfile: {
        networkInterfaceConfigurations: [
          {
            name: 'engine'
            properties: {
              primary: true
              enableAcceleratedNetworking: true
              networkSecurityGroup: {
                id: group.id
              }
              ipConfigurations: [
                {
                  name: 'private'
                  properties: {
                    primary: true
                    subnet: {
                      id: subnetResourceId
                    }
                  }
                }
              ]
            }
          }
        ]
      }
      diagnosticsProfile: {
        // The console of a machine without login: docs/bundle.md. Azure keeps the log.
        bootDiagnostics: {
          enabled: true
        }
      }
    }
  }
  dependsOn: [
    identity
  ]
}

resource metrics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: scaleSet
  name: 'audit'
  properties: {
    workspaceId: workspaceResourceId
    logAnalyticsDestinationType: 'Dedicated'
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

@description('Name of the scale set.')
output name string = scaleSet.name

@description('Resource id of the scale set.')
output resourceId string = scaleSet.id

@description('Client id of its identity, for the user data that name a blob; give it Storage Blob Data Reader on the container.')
output clientId string = identity.outputs.clientId

@description('Object id of its identity.')
output principalId string = identity.outputs.principalId
