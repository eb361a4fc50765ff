"""Events of EventBridge, SQS, SNS or GitHub -> the parameters that they name, reconciled.

events.py        a document or text, in any envelope -> messages; names and ARNs of a list  pure
requests.py      messages -> one request for each name; plan and report -> results         pure
aws_clients.py   SQS, S3 and SSM as the function itself calls them
aws_lambda.py    the handler of the Lambda function, its full run, and the clock of an invocation

Plans for some names are made by `ssm_reconcile.by_name`.
"""
