metadata name = 'Scale set of workers'
metadata description = 'Confidential VMs that run the worker\'s image: OS disk encrypted with the guest\'s state under the agency\'s key, vTPM, secure boot, no public address, no extensions, replaced batch by batch while the probe is good, drained before they end.'

@description('Required. Name of the scale set.')
@minLength(3)
param name string

@description('Required. Azure region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Confidential VM size, one of sizes.json.')
param vmSize string

@description('Required. Number of workers at creation; afterwards autoscale decides.')
@minValue(1)
param instanceCount int

@description('Required. Availability zones; empty if the region has none.')
param zones array

@description('Required. Resource id of a version of the worker\'s image in a gallery, whose definition supports confidential VMs.')
@minLength(1)
param imageVersionResourceId string

@description('Required. Resource ids of the user-assigned identities: the keyholder\'s, the fleet process\'s, the deliverer\'s.')
@minLength(3)
@maxLength(3)
param identityResourceIds array

@description('Required. Resource id of the subnet of the workers.')
param subnetResourceId string

@description('Required. Resource id of the network security group.')
param networkSecurityGroupResourceId string

@description('Required. Resource id of the load balancer\'s pool.')
param poolResourceId string

@description('Required. Resource id of the load balancer\'s probe, which decides whether an upgrade goes on.')
param probeResourceId string

@description('Required. Resource id of the disk encryption set of OS disks.')
param osDiskEncryptionSetResourceId string

@description('Required. Resource id of the disk encryption set of data disks.')
param dataDiskEncryptionSetResourceId string

@description('Required. Size of the disk for trail and ledger, in GiB.')
@minValue(32)
param stateDiskSizeGB int

@description('Required. Name of the administrator account that Azure requires. The image has no login, and no rule allows SSH.')
@minLength(1)
param adminUsername string

@description('Required. SSH public key of the administrator account.')
@minLength(1)
param adminPublicKey string

@description('Required. Resource id of the Log Analytics workspace.')
param workspaceResourceId string

resource scaleSet 'Microsoft.Compute/virtualMachineScaleSets@2025-04-01' = {
  name: name
  location: location
  tags: tags
  zones: zones
  sku: {
    name: vmSize
    capacity: instanceCount
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityResourceIds[0]}': {}
      '${identityResourceIds[1]}': {}
      '${identityResourceIds[2]}': {}
    }
  }
  properties: {
    orchestrationMode: 'Uniform'
    overprovision: false
    // A new image is a new model: the operator gives its version, after the release policy that pins it. New instances come
    // before old ones go, because an instance that is only reimaged gets no notice to drain.
    upgradePolicy: {
      mode: 'Rolling'
      automaticOSUpgradePolicy: {
        enableAutomaticOSUpgrade: false
      }
      rollingUpgradePolicy: {
        maxBatchInstancePercent: 20
        maxUnhealthyInstancePercent: 20
        maxUnhealthyUpgradedInstancePercent: 20
        pauseTimeBetweenBatches: 'PT10M'
        prioritizeUnhealthyInstances: true
        maxSurge: true
        rollbackFailedInstancesOnPolicyBreach: false
      }
    }
    // An instance that fails is looked at by a person: its trail may not be delivered yet.
    automaticRepairsPolicy: {
      enabled: false
    }
    scaleInPolicy: {
      rules: [
        'OldestVM'
      ]
      forceDeletion: false
    }
    virtualMachineProfile: {
      // Running jobs have 15 minutes, as in the unit's TimeoutStopSec, before the instance is deleted.
      scheduledEventsProfile: {
        terminateNotificationProfile: {
          enable: true
          notBeforeTimeout: 'PT15M'
        }
      }
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
        imageReference: {
          id: imageVersionResourceId
        }
        osDisk: {
          osType: 'Linux'
          createOption: 'FromImage'
          caching: 'ReadOnly'
          managedDisk: {
            storageAccountType: 'Premium_LRS'
            securityProfile: {
              securityEncryptionType: 'DiskWithVMGuestState'
              diskEncryptionSet: {
                id: osDiskEncryptionSetResourceId
              }
            }
          }
        }
        dataDisks: [
          {
            // Trail and ledger; nothing of a record is in them.
            name: 'state'
            lun: 0
            createOption: 'Empty'
            caching: 'None'
            diskSizeGB: stateDiskSizeGB
            deleteOption: 'Delete'
            managedDisk: {
              storageAccountType: 'Premium_LRS'
              diskEncryptionSet: {
                id: dataDiskEncryptionSetResourceId
              }
            }
          }
        ]
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
        healthProbe: {
          id: probeResourceId
        }
        networkInterfaceConfigurations: [
          {
            name: 'worker'
            properties: {
              primary: true
              enableAcceleratedNetworking: true
              networkSecurityGroup: {
                id: networkSecurityGroupResourceId
              }
              ipConfigurations: [
                {
                  name: 'private'
                  properties: {
                    primary: true
                    subnet: {
                      id: subnetResourceId
                    }
                    loadBalancerBackendAddressPools: [
                      {
                        id: poolResourceId
                      }
                    ]
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

resource metrics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: scaleSet
  name: 'audit'
  properties: {
    workspaceId: workspaceResourceId
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
