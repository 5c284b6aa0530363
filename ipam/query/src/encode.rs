//! Requests as forms: flat names with numbers from 1.

use form_urlencoded::Serializer;
use ipam::ec2::{Addresses, CreateInterface, DescribeInterfaces, Request, Tags};
use ipnetwork::Ipv4Network;

const VERSION: &str = "2016-11-15";

/// A request's form.
pub(crate) fn form(request: &Request) -> String {
    let mut form = Form(Serializer::new(String::new()));
    form.put("Action", request.action().name());
    form.put("Version", VERSION);
    form.request(request);
    form.0.finish()
}

struct Form(Serializer<'static, String>);

impl Form {
    #[expect(clippy::needless_pass_by_value, reason = "so that callers need not borrow numbers and flags")]
    fn put(&mut self, name: &str, value: impl ToString) {
        self.0.append_pair(name, &value.to_string());
    }

    fn list<T: ToString>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        for (number, value) in (1..).zip(values) {
            self.put(&format!("{name}.{number}"), value);
        }
    }

    fn some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn request(&mut self, request: &Request) {
        match request {
            Request::Assign { interface_id, addresses } => {
                self.put("NetworkInterfaceId", interface_id);
                match addresses {
                    Addresses::Count(count) => self.put("SecondaryPrivateIpAddressCount", count),
                    Addresses::Exact(addresses) => self.list("PrivateIpAddress", addresses),
                    Addresses::PrefixCount(count) => self.put("Ipv4PrefixCount", count),
                    Addresses::ExactPrefixes(prefixes) => self.list("Ipv4Prefix", prefixes),
                }
            }
            Request::Unassign { interface_id, addresses, prefixes } => {
                self.put("NetworkInterfaceId", interface_id);
                self.list("PrivateIpAddress", addresses);
                self.list("Ipv4Prefix", prefixes);
            }
            Request::CreateInterface(create) => self.create(create),
            Request::Attach { interface_id, instance_id, device_index } => {
                self.put("NetworkInterfaceId", interface_id);
                self.put("InstanceId", instance_id);
                self.put("DeviceIndex", device_index);
            }
            Request::Detach { attachment_id } => self.put("AttachmentId", attachment_id),
            Request::DeleteInterface { interface_id } => self.put("NetworkInterfaceId", interface_id),
            Request::SetDeleteOnTermination { interface_id, attachment_id, delete } => {
                self.put("NetworkInterfaceId", interface_id);
                self.put("Attachment.AttachmentId", attachment_id);
                self.put("Attachment.DeleteOnTermination", delete);
            }
            Request::SetSecurityGroups { interface_id, security_groups } => {
                self.put("NetworkInterfaceId", interface_id);
                self.list("SecurityGroupId", security_groups);
            }
            Request::CreateTags { resources, tags } => {
                self.list("ResourceId", resources);
                self.tags("Tag", tags);
            }
            Request::DeleteTags { resources, keys } => {
                self.list("ResourceId", resources);
                for (number, key) in (1..).zip(keys) {
                    self.put(&format!("Tag.{number}.Key"), key);
                }
            }
            Request::DescribeInterfaces(describe) => self.describe(describe),
            Request::DescribeSubnets { vpc_id, next_token }
            | Request::DescribeSecurityGroups { vpc_id, next_token } => {
                self.filter(1, "vpc-id", std::slice::from_ref(vpc_id));
                self.some("NextToken", next_token.as_ref());
            }
            Request::DescribeVpcs { ids } => self.list("VpcId", ids),
            Request::DescribeInstanceTypes { names, next_token } => {
                self.filter(1, "instance-type", names);
                self.some("NextToken", next_token.as_ref());
            }
        }
    }

    fn create(&mut self, create: &CreateInterface) {
        self.put("SubnetId", &create.subnet_id);
        self.list("SecurityGroupId", &create.security_groups);
        if !create.description.is_empty() {
            self.put("Description", &create.description);
        }
        match &create.addresses {
            None => {}
            Some(Addresses::Count(count)) => self.put("SecondaryPrivateIpAddressCount", count),
            Some(Addresses::Exact(addresses)) => {
                for (number, address) in (1..).zip(addresses) {
                    self.put(&format!("PrivateIpAddresses.{number}.PrivateIpAddress"), address);
                    self.put(&format!("PrivateIpAddresses.{number}.Primary"), false);
                }
            }
            Some(Addresses::PrefixCount(count)) => self.put("Ipv4PrefixCount", count),
            // A structure here, plain text in AssignPrivateIpAddresses.
            Some(Addresses::ExactPrefixes(prefixes)) => self.prefixes(prefixes),
        }
        if !create.tags.is_empty() {
            self.put("TagSpecification.1.ResourceType", "network-interface");
            self.tags("TagSpecification.1.Tag", &create.tags);
        }
        self.put("ClientToken", &create.client_token);
    }

    fn prefixes(&mut self, prefixes: &[Ipv4Network]) {
        for (number, prefix) in (1..).zip(prefixes) {
            self.put(&format!("Ipv4Prefix.{number}.Ipv4Prefix"), prefix);
        }
    }

    fn tags(&mut self, name: &str, tags: &Tags) {
        for (number, (key, value)) in (1..).zip(tags) {
            self.put(&format!("{name}.{number}.Key"), key);
            self.put(&format!("{name}.{number}.Value"), value);
        }
    }

    fn describe(&mut self, describe: &DescribeInterfaces) {
        self.list("NetworkInterfaceId", &describe.ids);
        for (number, (name, values)) in (1..).zip(&describe.filters) {
            self.filter(number, name, values);
        }
        self.some("MaxResults", describe.page);
        self.some("NextToken", describe.next_token.as_ref());
    }

    fn filter(&mut self, number: usize, name: &str, values: &[String]) {
        self.put(&format!("Filter.{number}.Name"), name);
        self.list(&format!("Filter.{number}.Value"), values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as botocore's model of EC2 has them.
    #[test]
    fn prefixes_are_structures_in_create_and_text_in_assign() {
        let prefix: Ipv4Network = "10.0.0.16/28".parse().expect("a prefix");
        let assign = Request::Assign {
            interface_id: "eni-1".to_owned(),
            addresses: Addresses::ExactPrefixes(vec![prefix]),
        };
        assert_eq!(
            form(&assign),
            "Action=AssignPrivateIpAddresses&Version=2016-11-15&NetworkInterfaceId=eni-1&Ipv4Prefix.1=10.0.0.16%2F28"
        );
        let create = Request::CreateInterface(CreateInterface {
            subnet_id: "subnet-1".to_owned(),
            security_groups: vec!["sg-1".to_owned(), "sg-2".to_owned()],
            description: "for & of".to_owned(),
            addresses: Some(Addresses::ExactPrefixes(vec![prefix])),
            tags: Tags::from([("a".to_owned(), "b c".to_owned())]),
            client_token: "t".to_owned(),
        });
        assert_eq!(
            form(&create),
            "Action=CreateNetworkInterface&Version=2016-11-15&SubnetId=subnet-1&SecurityGroupId.1=sg-1\
             &SecurityGroupId.2=sg-2&Description=for+%26+of&Ipv4Prefix.1.Ipv4Prefix=10.0.0.16%2F28\
             &TagSpecification.1.ResourceType=network-interface&TagSpecification.1.Tag.1.Key=a\
             &TagSpecification.1.Tag.1.Value=b+c&ClientToken=t"
        );
    }
}
