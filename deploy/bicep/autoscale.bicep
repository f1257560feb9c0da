// More workers while tickets wait, fewer when none do. Each new worker costs one release for each version of the key,
// so the number grows in small steps: the vault admits a limited number of releases at once, see docs/fleet.md.

@description('Name of the setting.')
param name string

@description('Azure region.')
param location string

@description('Resource id of the workers\' scale set.')
param scaleSetId string

@description('Resource id of the queue with the tickets.')
param queueId string

@description('Least number of workers.')
param minimum int

@description('Largest number of workers.')
param maximum int

@description('Waiting tickets for each worker above which workers are added.')
param ticketsPerWorker int

resource autoscale 'Microsoft.Insights/autoscalesettings@2022-10-01' = {
  name: name
  location: location
  properties: {
    enabled: true
    targetResourceUri: scaleSetId
    profiles: [
      {
        name: 'tickets'
        capacity: {
          minimum: string(minimum)
          maximum: string(maximum)
          default: string(minimum)
        }
        rules: [
          {
            metricTrigger: {
              metricName: 'ApproximateMessageCount'
              metricResourceUri: queueId
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT5M'
              timeAggregation: 'Average'
              operator: 'GreaterThan'
              threshold: ticketsPerWorker
              dividePerInstance: true
            }
            scaleAction: {
              direction: 'Increase'
              type: 'ChangeCount'
              value: '2'
              cooldown: 'PT5M'
            }
          }
          {
            metricTrigger: {
              metricName: 'ApproximateMessageCount'
              metricResourceUri: queueId
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT30M'
              timeAggregation: 'Maximum'
              operator: 'LessThan'
              threshold: 1
              dividePerInstance: false
            }
            scaleAction: {
              direction: 'Decrease'
              type: 'ChangeCount'
              value: '1'
              cooldown: 'PT15M'
            }
          }
        ]
      }
    ]
  }
}
