// One scale set of confidential VMs (AMD SEV-SNP) that runs the worker: encrypted OS disk, vTPM, secure boot,
// no public address, inbound traffic only to the worker's port, outbound traffic only to the private
// network, and to Microsoft Entra if that is asked for.

@description('Name of the scale set.')
param name string

@description('Azure region.')
param location string

@description('Confidential VM size with AMD SEV-SNP.')
param vmSize string

@description('Number of workers.')
param instanceCount int

@description('Availability zones; empty if the region has none.')
param zones array

@description('Resource id of a gallery image with the worker installed. Empty for the plain Ubuntu confidential image, which contains no worker.')
param workerImageId string

@description('Resource id of the worker\'s user-assigned identity.')
param identityId string

@description('Resource id of the fleet processes\' user-assigned identity.')
param fleetIdentityId string

@description('Resource id of the subnet of the workers.')
param subnetId string

@description('Address ranges of the upstream apps that may call the worker.')
param clientAddressPrefixes array

@description('Port of the worker\'s gRPC server.')
param workerPort int

@description('Whether workers may reach Microsoft Entra, whose keys they need if their policy requires tokens.')
param entraTokens bool

@description('Name of the administrator account that Azure requires. No rule allows SSH.')
param adminUsername string

@description('SSH public key of the administrator account.')
param adminPublicKey string

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: '${name}-nsg'
  location: location
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

resource scaleSet 'Microsoft.Compute/virtualMachineScaleSets@2025-04-01' = {
  name: name
  location: location
  zones: zones
  sku: {
    name: vmSize
    capacity: instanceCount
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
      '${fleetIdentityId}': {}
    }
  }
  properties: {
    orchestrationMode: 'Uniform'
    overprovision: false
    // A new image changes the measurements that the release policy may pin: the operator upgrades instance by instance.
    upgradePolicy: {
      mode: 'Manual'
    }
    virtualMachineProfile: {
      securityProfile: {
        securityType: 'ConfidentialVM'
        // Must be false with DiskWithVMGuestState: the disk is already encrypted under a key bound to the vTPM.
        encryptionAtHost: false
        uefiSettings: {
          secureBootEnabled: true
          vTpmEnabled: true
        }
      }
      storageProfile: {
        imageReference: empty(workerImageId) ? {
          publisher: 'Canonical'
          offer: 'ubuntu-24_04-lts'
          sku: 'cvm'
          version: 'latest'
        } : {
          id: workerImageId
        }
        osDisk: {
          osType: 'Linux'
          createOption: 'FromImage'
          caching: 'ReadOnly'
          managedDisk: {
            storageAccountType: 'Premium_LRS'
            securityProfile: {
              securityEncryptionType: 'DiskWithVMGuestState'
            }
          }
        }
      }
      osProfile: {
        computerNamePrefix: 'cji'
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
            name: 'worker'
            properties: {
              primary: true
              enableAcceleratedNetworking: true
              networkSecurityGroup: {
                id: securityGroup.id
              }
              ipConfigurations: [
                {
                  name: 'private'
                  properties: {
                    primary: true
                    subnet: {
                      id: subnetId
                    }
                  }
                }
              ]
            }
          }
        ]
      }
      diagnosticsProfile: {
        // Screenshots and the serial log leave the VM unencrypted.
        bootDiagnostics: {
          enabled: false
        }
      }
    }
  }
}

output id string = scaleSet.id
