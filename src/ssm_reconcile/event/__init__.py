"""Family: what happens outside -> "reconcile these names", over the same steps as everything else.

event_reader.py     what arrived, in its envelope -> messages                             pure
eventbridge.py      one event of EventBridge -> Names | Full | Rejected                   pure
events.py           names and ARNs of an event -> Names | Rejected; the types             pure
scope.py            names + specs -> what each is for, and where its replicas lie         pure
requests.py           names that arrive together -> each once                               pure
reconciler.py          names -> a plan for them alone, its apply, a result for each
full_run.py            a scheduled run, applied here or handed to the queue in parts
timer.py            the clock of an invocation, which also says when to stop
aws_clients.py          SQS, S3 and SSM as the function itself uses them
aws_lambda.py  the door on AWS Lambda
"""
