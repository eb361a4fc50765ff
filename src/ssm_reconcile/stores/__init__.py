"""The store of parameters: AWS Systems Manager Parameter Store."""
