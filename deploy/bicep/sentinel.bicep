// Microsoft Sentinel on the workspace: watchlists and the analytics rules of deploy/sentinel.
// Deploy it once the table of audit events exists, because Sentinel refuses a rule whose query does not bind.

@description('Name of the Log Analytics workspace, in this resource group.')
param workspaceName string

@description('Object ids of the identities that may release the master key and read the storage of jobs.')
param workerIdentities array

@description('Object ids of the emergency accounts.')
param breakGlassAccounts array

@description('Whether the rules run. A rule that is off can be read and tried in the portal.')
param enabled bool = true

// by file name
var rules = {
  'access-outside-us': loadYamlContent('../sentinel/rules/access-outside-us.yaml')
  'attestation-burst': loadYamlContent('../sentinel/rules/attestation-burst.yaml')
  'audit-gap': loadYamlContent('../sentinel/rules/audit-gap.yaml')
  'break-glass-sign-in': loadYamlContent('../sentinel/rules/break-glass-sign-in.yaml')
  'denied-then-allowed': loadYamlContent('../sentinel/rules/denied-then-allowed.yaml')
  'identity-policy-change': loadYamlContent('../sentinel/rules/identity-policy-change.yaml')
  'key-release-unknown-identity': loadYamlContent('../sentinel/rules/key-release-unknown-identity.yaml')
  'key-release-without-boot': loadYamlContent('../sentinel/rules/key-release-without-boot.yaml')
  'mass-download': loadYamlContent('../sentinel/rules/mass-download.yaml')
  'mass-release': loadYamlContent('../sentinel/rules/mass-release.yaml')
  'off-hours': loadYamlContent('../sentinel/rules/off-hours.yaml')
  'overdue-review': loadYamlContent('../sentinel/rules/overdue-review.yaml')
  'policy-change': loadYamlContent('../sentinel/rules/policy-change.yaml')
  'simulator-evidence': loadYamlContent('../sentinel/rules/simulator-evidence.yaml')
  'witness-disagreement': loadYamlContent('../sentinel/rules/witness-disagreement.yaml')
}

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' existing = {
  name: workspaceName
}

resource onboarding 'Microsoft.SecurityInsights/onboardingStates@2025-09-01' = {
  scope: workspace
  name: 'default'
  properties: {}
}

resource workers 'Microsoft.SecurityInsights/watchlists@2025-09-01' = {
  scope: workspace
  name: 'cji-worker-identities'
  properties: {
    displayName: 'CJI: identities of workers'
    description: 'Object ids of the identities that may release the master key and read the storage of jobs.'
    provider: 'cji-worker'
    source: 'sentinel.bicep'
    sourceType: 'Local'
    itemsSearchKey: 'ObjectId'
    contentType: 'text/csv'
    rawContent: 'ObjectId\n${join(workerIdentities, '\n')}'
    numberOfLinesToSkip: 0
  }
  dependsOn: [
    onboarding
  ]
}

resource breakGlass 'Microsoft.SecurityInsights/watchlists@2025-09-01' = {
  scope: workspace
  name: 'cji-break-glass'
  properties: {
    displayName: 'CJI: emergency accounts'
    description: 'Object ids of the emergency accounts.'
    provider: 'cji-worker'
    source: 'sentinel.bicep'
    sourceType: 'Local'
    itemsSearchKey: 'ObjectId'
    contentType: 'text/csv'
    rawContent: 'ObjectId\n${join(breakGlassAccounts, '\n')}'
    numberOfLinesToSkip: 0
  }
  dependsOn: [
    onboarding
  ]
}

resource analytics 'Microsoft.SecurityInsights/alertRules@2025-09-01' = [
  for rule in items(rules): {
    scope: workspace
    name: rule.value.id
    kind: 'Scheduled'
    properties: {
      displayName: rule.value.displayName
      description: rule.value.description
      enabled: enabled
      severity: rule.value.severity
      query: rule.value.query
      queryFrequency: rule.value.queryFrequency
      queryPeriod: rule.value.queryPeriod
      triggerOperator: rule.value.triggerOperator
      triggerThreshold: rule.value.triggerThreshold
      suppressionEnabled: false
      suppressionDuration: 'PT5H'
      tactics: rule.value.tactics
      techniques: rule.value.techniques
      entityMappings: rule.value.entityMappings
      eventGroupingSettings: {
        aggregationKind: 'AlertPerResult'
      }
      incidentConfiguration: {
        createIncident: true
        groupingConfiguration: {
          enabled: true
          reopenClosedIncident: false
          lookbackDuration: 'PT5H'
          matchingMethod: 'AllEntities'
        }
      }
    }
    dependsOn: [
      workers
      breakGlass
    ]
  }
]
