"""What both scripts need: a client, and a look at every answer by the model that botocore carries."""

import re
import xml.etree.ElementTree as ElementTree

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

REGION = "eu-central-1"


def client(endpoint=None):
    """A client of EC2 that sends every request once."""
    return boto3.client(
        "ec2",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=20),
    )


def local(name):
    return name.rsplit("}", 1)[-1]


SCALARS = {
    "boolean": r"true|false",
    "integer": r"-?\d+",
    "long": r"-?\d+",
    "double": r"-?\d+(\.\d+)?",
    "timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
}


def look(element, shape, path):
    """Every element is a member of its shape: what botocore does not know it would leave out silently."""
    if shape.type_name == "structure":
        by_name = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        seen = set()
        for child in element:
            name = local(child.tag)
            if path.count("/") == 1 and name == "requestId":
                continue
            assert name in by_name, f"{path} has <{name}>, which is not in the model"
            assert name not in seen, f"{path} has <{name}> twice"
            seen.add(name)
            look(child, by_name[name], f"{path}/{name}")
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "item")
        for child in element:
            assert local(child.tag) == item, f"{path} has <{local(child.tag)}> in a list of <{item}>"
            look(child, shape.member, f"{path}/{item}")
    else:
        pattern = SCALARS.get(shape.type_name)
        text = element.text or ""
        assert pattern is None or re.fullmatch(pattern, text), f"{path} is {text!r}, no {shape.type_name}"
        if shape.type_name == "string" and getattr(shape, "enum", None):
            assert text in shape.enum, f"{path} is {text!r}, none of {shape.enum}"


def watch(ec2, answered):
    """Looks at every answer of a client; collects the names of operations that were answered."""

    def received(response_dict, context, model=ec2.meta.service_model, **_):
        operation = context["operation"] if isinstance(context, dict) and "operation" in context else None
        root = ElementTree.fromstring(response_dict["body"])
        name = local(root.tag)
        if response_dict["status_code"] != 200:
            assert name == "Response", name
            return
        assert root.tag == "{http://ec2.amazonaws.com/doc/2016-11-15/}" + name, root.tag
        operation = name.removesuffix("Response")
        shape = model.operation_model(operation).output_shape
        if shape is None:
            # Of these the model has no answer; EC2 says that it is done.
            assert [local(child.tag) for child in root] == ["requestId", "return"], ElementTree.tostring(root)
        else:
            members = {member.serialization.get("name", name) for name, member in shape.members.items()}
            for child in list(root):
                # The same of those whose answer has members besides.
                if local(child.tag) == "return" and "return" not in members:
                    root.remove(child)
            look(root, shape, "/" + name)
        answered.add(operation)

    ec2.meta.events.register("response-received.ec2", received)
    return ec2


def refused(code, status, call, **arguments):
    """The call is refused with this code and HTTP status; returns the message."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        got = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        assert got == (code, status), f"{arguments}: {error}"
        return error.response["Error"]["Message"]
    raise AssertionError(f"{arguments} is answered with {answer}, not {code}")
