metadata name = 'Budget'
metadata description = 'A monthly budget for the resource group. It warns; it stops nothing.'

@description('Required. Name of the budget.')
@minLength(3)
param name string

@description('Required. Amount in the currency of the subscription.')
@minValue(1)
param amount int

@description('Required. First day of a month, such as 2027-01-01.')
@minLength(10)
param startDate string

@description('Required. Addresses that are told.')
@minLength(1)
param contactEmails array

resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: startDate
    }
    notifications: {
      actual80: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: contactEmails
      }
      forecast100: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: contactEmails
      }
    }
  }
}

@description('Name of the budget.')
output name string = budget.name

@description('Resource id of the budget.')
output resourceId string = budget.id
