#!/bin/sh
# What `--metrics FILE` wrote -> custom metrics in CloudWatch, one a state and target.
#
#     ssm-reconcile plan --metrics status.prom
#     examples/cloudwatch-metrics.sh status.prom
#
# Needs the AWS CLI and cloudwatch:PutMetricData. An alarm worth having: `Parameters` with State=conflict,
# State=failed or State=withheld above 0, and missing data treated as breaching.
set -eu

file=${1:?usage: cloudwatch-metrics.sh FILE [NAMESPACE]}
namespace=${2:-ssm-reconcile}

# ssm_reconcile_parameters{replication="prod",target="us-east-2",place="...",state="in_sync"} 12
sed -n 's/^ssm_reconcile_parameters{replication="\([^"]*\)",target="\([^"]*\)",.*,state="\([^"]*\)"} \([0-9]*\)$/\1 \2 \3 \4/p' "$file" |
	while read -r replication target state count; do
		aws cloudwatch put-metric-data \
			--namespace "$namespace" \
			--metric-name Parameters \
			--unit Count \
			--value "$count" \
			--dimensions "Replication=$replication,Target=$target,State=$state"
	done
