"""Events of EventBridge, SQS, SNS or GitHub -> the parameters that they name, reconciled.

events.py        the types: names, a full run, a rejection; names and ARNs of a list       pure
event_reader.py  one document, in any envelope -> messages                                 pure
requests.py      messages -> one request for each name; plan and report -> results         pure
full_run.py      a scheduled run, applied or sent to the queue in parts
timer.py         the clock of one Lambda invocation, which also ends it in time
aws_clients.py   SQS, S3 and SSM as the function itself calls them
aws_lambda.py    the handler of the Lambda function

Plans for some names are made by `ssm_reconcile.by_name`.
"""
