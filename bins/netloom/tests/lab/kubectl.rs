//! A real kubectl against a lab.

use crate::support::{Lab, eventually, has};

const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {matchLabels: {run: web}}, ingress: [{from: [{podSelector: {matchLabels: {run: friend}}}]}]}
";

const SHOP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: c, image: any, ports: [{containerPort: 8080, name: web}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: web}]}
";

/// kubectl does it, and says this.
fn does(lab: &Lab, arguments: &str) -> String {
    let (good, said) = lab.kubectl(arguments);
    assert!(good, "kubectl {arguments}: {said}");
    said
}

#[test]
fn kubectl_makes_pods_and_policies() {
    if !has("kubectl") {
        return;
    }
    let Some(lab) = Lab::up("kubectl", 2, "") else { return };
    everyday(&lab);
    workloads(&lab);
}

/// The same with kube-apiserver and etcd, where there are some.
#[test]
fn kubectl_on_a_real_api_server() {
    if reference::Programs::find().is_none() {
        eprintln!("skipped: no kube-apiserver and etcd in KUBEBUILDER_ASSETS or PATH");
        return;
    }
    if !has("kubectl") {
        return;
    }
    let arguments = ["--nodes", "2", "--api", "reference", "--timeout", "120"];
    let Some(lab) = Lab::up_with("reference", &arguments, "") else { return };
    everyday(&lab);
    workloads(&lab);
    lab.kill_program("apiserver");
    eventually("the API server is back", || lab.kubectl("get --raw=/readyz").0.then_some(()));
    does(&lab, "run after --image=any --port=80");
    does(&lab, "wait --for=condition=Ready pod/after --timeout=30s");
    // It may be connected before its labels have a number: until then it stays closed.
    eventually("the pod is open", || (lab.reached("web", "after", 80, true) == [true; 2]).then_some(()));
}

/// run, get, label, apply, delete and wait.
fn everyday(lab: &Lab) {
    let nodes = does(lab, "get nodes --no-headers");
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 2, "{nodes}");
    does(lab, "run web --image=any --port=80");
    does(lab, "run friend --image=any");
    does(lab, "wait --for=condition=Ready pod/web pod/friend --timeout=30s");
    let pods = does(lab, "get pods --no-headers");
    assert_eq!(
        pods.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count(),
        2,
        "{pods}"
    );
    let on = |pod: &str| does(lab, &format!("get pod {pod} -o jsonpath={{.spec.nodeName}}"));
    assert_ne!(on("web"), on("friend"), "pods go to the node with the fewest");
    assert!(lab.reaches("friend", "web", 80, true));

    let (good, said) = lab.kubectl_with("apply -f -", POLICY);
    assert!(good, "{said}");
    does(lab, "run stranger --image=any");
    does(lab, "wait --for=condition=Ready pod/stranger --timeout=30s");
    let closes = |open: bool| {
        eventually("a policy is enforced", || {
            (lab.reached("stranger", "web", 80, open) == [open; 2]).then_some(())
        });
    };
    closes(false);
    assert!(lab.reaches("friend", "web", 80, true));
    does(lab, "label pod stranger run=friend --overwrite");
    closes(true);
    does(lab, "label pod stranger run=stranger --overwrite");
    closes(false);
    does(lab, "delete networkpolicy closed");
    closes(true);
    does(lab, "delete pod stranger --timeout=30s");
    let (there, said) = lab.kubectl("get pod stranger");
    assert!(!there && said.contains("not found"), "{said}");
}

/// Deployments, services and namespaces.
fn workloads(lab: &Lab) {
    does(lab, "create namespace shop");
    let (good, said) = lab.kubectl_with("apply -f -", SHOP);
    assert!(good, "{said}");
    does(lab, "rollout status deployment/shop -n shop --timeout=30s");
    eventually("both pods are behind the service", || {
        let slices = does(lab, "get endpointslices -n shop -l kubernetes.io/service-name=shop -o yaml");
        let backends = slices.matches("10.244.").count();
        (backends == 2 && slices.contains("8080")).then_some(())
    });
    does(lab, "scale deployment/shop -n shop --replicas=1");
    eventually("one pod is left", || {
        (does(lab, "get pods -n shop --no-headers").lines().count() == 1).then_some(())
    });
    does(lab, "delete namespace shop --timeout=30s");
    assert!(!lab.kubectl("get namespace shop").0);
}
