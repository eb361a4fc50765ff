#!/bin/sh
# Builds what deploy/template.yaml deploys into build/function: this package, what it needs, and the spec.
# Usage: deploy/build.sh [SPEC]     from the root of the repository; SPEC is replication.yaml by default
set -eu
spec=${1:-replication.yaml}
python=${PYTHON:-python3}
into=build/function
rm -rf "$into"
"$python" -m pip install --quiet --require-hashes --only-binary=:all: --target "$into" \
    --platform manylinux2014_aarch64 --platform manylinux_2_28_aarch64 --implementation cp --python-version 3.13 \
    --requirement requirements/lambda.txt
cp -R src/ssm_reconcile "$into/ssm_reconcile"
cp -R schema "$into/ssm_reconcile/schema"
cp "$spec" "$into/replication.yaml"
find "$into" -name __pycache__ -type d -prune -exec rm -rf {} +
echo "built $into: $(du -sh "$into" | cut -f1)"
