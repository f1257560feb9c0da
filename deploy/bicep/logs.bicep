metadata name = 'Logs'
metadata description = 'The Log Analytics workspace, the table of the worker\'s audit events, and the rule and endpoint through which the deliverer sends them. Private: the agency\'s Azure Monitor private link scope lists workspace and endpoint.'

@description('Required. Beginning of the names.')
@minLength(3)
param name string

@description('Required. Azure region.')
param location string

@description('Required. Tags.')
param tags object

@description('Required. Days for which logs can be queried. CJISSECPOL AU-11: a year at least.')
@minValue(365)
@maxValue(730)
param retentionInDays int

@description('Required. Days for which the worker\'s events are kept, with the archive.')
@minValue(365)
@maxValue(4383)
param totalRetentionInDays int

@description('Required. Object id of the identity that delivers the audit trail.')
param publisherPrincipalId string

@description('Required. Resource id of a dedicated cluster under the agency\'s key; empty for none.')
param clusterResourceId string

// The columns that the audit sink sends: `python -m deploy.check.snapshot` writes the file.
var columns = loadJsonContent('auditColumns.json')

// "Monitoring Metrics Publisher": send to a data collection rule, read nothing
var publisherRole = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '3913510d-42f4-4e42-8a64-acd390bd4f19')

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${name}-log'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionInDays
    publicNetworkAccessForIngestion: 'Disabled'
    publicNetworkAccessForQuery: 'Disabled'
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource cluster 'Microsoft.OperationalInsights/workspaces/linkedServices@2025-02-01' = if (!empty(clusterResourceId)) {
  parent: workspace
  name: 'Cluster'
  properties: {
    writeAccessResourceId: clusterResourceId
  }
}

resource table 'Microsoft.OperationalInsights/workspaces/tables@2025-02-01' = {
  parent: workspace
  name: 'CjiAudit_CL'
  properties: {
    plan: 'Analytics'
    retentionInDays: retentionInDays
    totalRetentionInDays: totalRetentionInDays
    schema: {
      name: 'CjiAudit_CL'
      columns: [for column in columns: {
        name: column.name
        type: column.type == 'datetime' ? 'dateTime' : column.type
      }]
    }
  }
}

resource endpoint 'Microsoft.Insights/dataCollectionEndpoints@2023-03-11' = {
  name: '${name}-dce'
  location: location
  tags: tags
  properties: {
    networkAcls: {
      publicNetworkAccess: 'Disabled'
    }
  }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: '${name}-dcr'
  location: location
  tags: tags
  properties: {
    dataCollectionEndpointId: endpoint.id
    streamDeclarations: {
      'Custom-CjiAudit': {
        columns: columns
      }
    }
    destinations: {
      logAnalytics: [
        {
          name: 'workspace'
          workspaceResourceId: workspace.id
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          'Custom-CjiAudit'
        ]
        destinations: [
          'workspace'
        ]
        transformKql: 'source'
        outputStream: 'Custom-${table.name}'
      }
    ]
  }
}

resource publisher 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: rule
  name: guid(rule.id, publisherPrincipalId, publisherRole)
  properties: {
    roleDefinitionId: publisherRole
    principalId: publisherPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource workspaceAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: workspace
  name: 'audit'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

resource ruleAudit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: rule
  name: 'audit'
  properties: {
    workspaceId: workspace.id
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

@description('Name of the workspace.')
output name string = workspace.name

@description('Resource id of the workspace.')
output resourceId string = workspace.id

@description('Logs ingestion endpoint, for audit.toml.')
output ingestionEndpoint string = endpoint.properties.logsIngestion.endpoint

@description('Immutable id of the data collection rule, for audit.toml.')
output ruleImmutableId string = rule.properties.immutableId
