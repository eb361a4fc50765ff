#!/bin/sh
# Builds what deploy/template.yaml deploys into build/function: this package without its command line, the
# distributions that it imports, and the spec. The same inputs give the same bytes.
#
# Usage, from the root of the repository: deploy/build.sh [SPEC]     SPEC is replication.yaml by default, "" for none
#
#     PYTHON     interpreter with pip. Default: python3.13, or else python3
#     VERSION    Python version of the function, default 3.13
#     MACHINE    processor of the function: aarch64 (default) or x86_64
#     INTO       folder of the package, default build/function
set -eu
umask 022
export PYTHONHASHSEED=0 TZ=UTC LC_ALL=C
spec=${1-replication.yaml}
version=${VERSION:-3.13} machine=${MACHINE:-aarch64} into=${INTO:-build/function}
python=${PYTHON:-$(command -v "python$version" || echo python3)}

rm -rf "$into"
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --no-compile --target "$into" --implementation cp --python-version "$version" \
    --platform "manylinux2014_$machine" --platform "manylinux_2_28_$machine" --requirement requirements/lambda.txt
cp -R src/ssm_reconcile "$into/ssm_reconcile"
cp -R schema "$into/ssm_reconcile/schema"
if [ -n "$spec" ]; then cp "$spec" "$into/replication.yaml"; fi
find "$into" -name __pycache__ -type d -prune -exec rm -rf {} +

# Remove what the function does not import. tests/events/test_build.py fails if something is missing or unused.
for part in __main__.py cli detach.py doctor explain github init publishers renderers status.py; do
    rm -r "$into/ssm_reconcile/$part"
done
for part in _yaml bin boto3/data boto3/examples aws_lambda_powertools/event_handler jsonschema/tests; do rm -r "${into:?}/$part"; done
keep() { # FOLDER NAME...: remove all other folders in FOLDER
    folder=$into/$1
    shift
    for entry in "$folder"/*/; do
        case " $* " in *" $(basename "$entry") "*) ;; *) rm -r "$entry" ;; esac
    done
}
keep aws_lambda_powertools/utilities jmespath_utils
keep botocore/data dynamodb kms resourcegroupstaggingapi s3 sqs ssm stepfunctions sts
find "$into/botocore/data" -name 'examples-*' -exec rm {} +
# METADATA stays: scanners such as Amazon Inspector read the name and version of a distribution there.
find "$into" -path '*.dist-info/*' -type f ! -name METADATA -exec rm {} +
find "$into" -type d -empty -exec rmdir {} +

# The code folder of Lambda is read-only. Without compiled modules, each cold start compiles all of them.
if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$version" ]; then
    "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$into" -p /var/task "$into"
else
    echo "not compiled, so a cold start takes longer: PYTHON=$python is not Python $version" >&2
fi
find "$into" -exec touch -t 202001010000 {} +
echo "built $into: $(du -sh "$into" | cut -f1)"
