// Calls a network's plugins as container runtimes do, through the CNI project's own library.
//
//	libcni add|check|del|version CONFDIR PLUGINDIR NETWORK NETNS
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("five arguments, not %d", len(args))
	}
	command, configs, plugins, network, netns := args[0], args[1], args[2], args[3], args[4]
	list, err := libcni.LoadConfList(configs, network)
	if err != nil {
		return err
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{plugins}, configs+"/cache", nil)
	container := &libcni.RuntimeConf{
		ContainerID: "libcni-test",
		NetNS:       netns,
		IfName:      "eth0",
		Args:        [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", "ns"}, {"K8S_POD_NAME", "p"}},
	}
	ctx := context.Background()
	switch command {
	case "add":
		result, err := cni.AddNetworkList(ctx, list, container)
		if err != nil {
			return err
		}
		return result.Print()
	case "check":
		return cni.CheckNetworkList(ctx, list, container)
	case "del":
		return cni.DelNetworkList(ctx, list, container)
	case "version":
		_, err := cni.ValidateNetworkList(ctx, list)
		return err
	}
	return fmt.Errorf("unknown command %q", command)
}
