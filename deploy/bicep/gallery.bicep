metadata name = 'Gallery of images'
metadata description = 'Third entry point: the gallery, the definition of the worker\'s image or of the engine\'s, and one version of it from a VHD in a storage account, with the certificate that signed it in the machines\' db. deploy/image/publish gives the parameters.'

@description('Required. Name of the gallery.')
@minLength(3)
param galleryName string

@description('Optional. What the image is of: a worker, or the engine of jobs in parts.')
@allowed([
  'worker'
  'engine'
])
param kind string = 'worker'

@description('Optional. Name of the definition.')
@minLength(3)
param definitionName string = 'cji-${kind}'

@description('Required. Version, three numbers with points between them.')
@minLength(5)
param version string

@description('Required. Azure region of the gallery and of the storage account.')
@minLength(3)
param location string

@description('Required. Regions that get a replica; the first is the gallery\'s own.')
@minLength(1)
param replicaRegions string[]

@description('Required. Who publishes, as the definition names it.')
@minLength(3)
param publisher string

@description('Required. Resource id of the storage account with the VHD.')
@minLength(3)
param storageAccountResourceId string

@description('Required. Address of the VHD\'s page blob in it.')
@minLength(3)
param vhdUri string

@description('Required. The certificate that signed the image, DER in base64: it goes into db, beside or instead of Microsoft\'s.')
@minLength(3)
param certificate string

@description('Optional. Templates of Microsoft\'s keys that the machines start from. NoSignatureTemplate needs a PK and KEK of your own.')
@allowed([
  'MicrosoftUefiCertificateAuthorityTemplate'
  'MicrosoftWindowsTemplate'
])
param signatureTemplate string = 'MicrosoftUefiCertificateAuthorityTemplate'

@description('Optional. Day after which machines may not be made from this version, such as 2027-12-31T00:00:00Z.')
param endOfLife string = ''

@description('Optional. Tags.')
param tags object = {}

resource gallery 'Microsoft.Compute/galleries@2025-03-03' = {
  name: galleryName
  location: location
  tags: tags
  properties: {
    description: 'Images of the confidential CJI worker'
  }
}

resource definition 'Microsoft.Compute/galleries/images@2025-03-03' = {
  parent: gallery
  name: definitionName
  location: location
  tags: tags
  properties: {
    osType: 'Linux'
    // The image reports that it is provisioned (cji-provisioned.service); a specialized one would refuse osProfile.
    osState: 'Generalized'
    hyperVGeneration: 'V2'
    architecture: 'x64'
    identifier: {
      publisher: publisher
      offer: 'cji'
      sku: kind
    }
    features: [
      {
        // Keys of one's own in db need this value; the scale set makes confidential machines of it.
        name: 'SecurityType'
        value: 'TrustedLaunchAndConfidentialVmSupported'
      }
    ]
  }
}

resource imageVersion 'Microsoft.Compute/galleries/images/versions@2025-03-03' = {
  parent: definition
  name: version
  location: location
  tags: tags
  properties: {
    storageProfile: {
      osDiskImage: {
        hostCaching: 'ReadOnly'
        source: {
          storageAccountId: storageAccountResourceId
          uri: vhdUri
        }
      }
    }
    securityProfile: {
      uefiSettings: {
        signatureTemplateNames: [
          signatureTemplate
        ]
        additionalSignatures: {
          db: [
            {
              type: 'x509'
              value: [
                certificate
              ]
            }
          ]
        }
      }
    }
    safetyProfile: {
      allowDeletionOfReplicatedLocations: false
      blockDeletionBeforeEndOfLife: !empty(endOfLife)
    }
    publishingProfile: {
      // a version is named by those who deploy it, never "latest"
      excludeFromLatest: true
      replicaCount: 1
      storageAccountType: 'Premium_LRS'
      endOfLifeDate: empty(endOfLife) ? null : endOfLife
      targetRegions: [
        for region in replicaRegions: {
          name: region
          regionalReplicaCount: 1
          storageAccountType: 'Premium_LRS'
          excludeFromLatest: true
          encryption: {
            osDiskImage: {
              securityProfile: {
                // The root is read-only under dm-verity, and public: Azure re-encrypting the disk would only break its hash.
                confidentialVMEncryptionType: 'EncryptedVMGuestStateOnlyWithPmk'
              }
            }
          }
        }
      ]
    }
  }
}

@description('Name of the version.')
output name string = imageVersion.name

@description('Resource id of the version: imageVersionResourceId of main.bicep, or of engine.bicep for the engine\'s.')
output resourceId string = imageVersion.id
