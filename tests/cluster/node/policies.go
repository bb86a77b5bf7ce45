package main

// The NetworkPolicy agent: every change of a pod, a namespace or a policy renders one nftables table anew, which nft
// swaps in as a whole. Pods are routed (CNI plugin ptp), so the forward hook sees all of their traffic.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func policiesCommand() *cobra.Command {
	var kubeconfig string
	command := &cobra.Command{Use: "policies", Short: "enforces NetworkPolicies by nftables", RunE: func(command *cobra.Command, _ []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		return enforce(command.Context(), kubernetes.NewForConfigOrDie(config))
	}}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API")
	return command
}

func enforce(ctx context.Context, client kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces, policies := factory.Core().V1().Pods(), factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	changed := onChange(pods.Informer(), namespaces.Informer(), policies.Informer())
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	inForce := ""
	for range changed {
		var now world
		allPods, _ := pods.Lister().List(labels.Everything())
		allNamespaces, _ := namespaces.Lister().List(labels.Everything())
		now.policies, _ = policies.Lister().List(labels.Everything())
		now.see(allPods, allNamespaces)
		wanted := now.table()
		if wanted == inForce {
			continue
		}
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader(wanted)
		if output, err := nft.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "policies: nft: %v: %s\n", err, output)
			time.AfterFunc(time.Second, changed.kick)
			continue
		}
		inForce = wanted
	}
	return nil
}

// world is what rules are made from: pods that have an address, the labels of namespaces, policies.
type world struct {
	pods       []*core.Pod
	namespaces map[string]labels.Set
	policies   []*networking.NetworkPolicy
}

func (w *world) see(pods []*core.Pod, namespaces []*core.Namespace) {
	for _, pod := range pods {
		ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
		if pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !ended {
			w.pods = append(w.pods, pod)
		}
	}
	slices.SortFunc(w.pods, func(a, b *core.Pod) int { return strings.Compare(a.Status.PodIP, b.Status.PodIP) })
	slices.SortFunc(w.policies, func(a, b *networking.NetworkPolicy) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	w.namespaces = make(map[string]labels.Set)
	for _, namespace := range namespaces {
		w.namespaces[namespace.Name] = namespace.Labels
	}
}

// direction is one side of a pod's traffic: which address is the pod's own, which the peer's.
type direction struct {
	kind      networking.PolicyType
	own, peer string
}

var directions = []direction{
	{networking.PolicyTypeIngress, "daddr", "saddr"},
	{networking.PolicyTypeEgress, "saddr", "daddr"},
}

func (w *world) table() string {
	var chains, jumps strings.Builder
	for _, pod := range w.pods {
		for _, direction := range directions {
			rules, isolated := w.rules(pod, direction)
			if !isolated {
				continue
			}
			chain := strings.ToLower(string(direction.kind)) + "_" + strings.ReplaceAll(pod.Status.PodIP, ".", "_")
			fmt.Fprintf(&chains, "chain %s {\n%sdrop\n}\n", chain, rules)
			fmt.Fprintf(&jumps, "ip %s %s jump %s\n", direction.own, pod.Status.PodIP, chain)
		}
	}
	// an empty table first, so that the deletion never fails
	return "table inet policies {}\ndelete table inet policies\ntable inet policies {\n" + chains.String() +
		"chain forward {\ntype filter hook forward priority filter; policy accept;\nct state established,related accept\n" + jumps.String() + "}\n}\n"
}

// rules are the `return` lines of all policies that select the pod; not isolated: no policy does.
func (w *world) rules(pod *core.Pod, direction direction) (rules string, isolated bool) {
	for _, policy := range w.policies {
		if policy.Namespace != pod.Namespace || !selects(&policy.Spec.PodSelector, pod.Labels) || !slices.Contains(policy.Spec.PolicyTypes, direction.kind) {
			continue
		}
		isolated = true
		if direction.kind == networking.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				rules += w.allow(direction, policy.Namespace, rule.From, rule.Ports, pod)
			}
		} else {
			for _, rule := range policy.Spec.Egress {
				rules += w.allow(direction, policy.Namespace, rule.To, rule.Ports, nil)
			}
		}
	}
	return rules, isolated
}

// party is one address that a rule admits; pod is nil where it is no single pod.
type party struct {
	match string
	pod   *core.Pod
}

// allow renders one rule. A named port is one of `target`, or of each peer where target is nil.
func (w *world) allow(direction direction, namespace string, peers []networking.NetworkPolicyPeer, ports []networking.NetworkPolicyPort, target *core.Pod) string {
	var rules strings.Builder
	for _, party := range w.parties(direction, namespace, peers) {
		if len(ports) == 0 {
			fmt.Fprintf(&rules, "%sreturn\n", party.match)
		}
		owner := target
		if owner == nil {
			owner = party.pod
		}
		for _, port := range ports {
			for _, match := range portMatches(port, owner) {
				fmt.Fprintf(&rules, "%s%s return\n", party.match, match)
			}
		}
	}
	return rules.String()
}

func (w *world) parties(direction direction, namespace string, peers []networking.NetworkPolicyPeer) []party {
	if len(peers) == 0 {
		return []party{{}}
	}
	var parties []party
	for _, peer := range peers {
		if block := peer.IPBlock; block != nil {
			match := fmt.Sprintf("ip %s %s ", direction.peer, block.CIDR)
			if len(block.Except) > 0 {
				match += fmt.Sprintf("ip %s != { %s } ", direction.peer, strings.Join(block.Except, ", "))
			}
			parties = append(parties, party{match: match})
			continue
		}
		for _, pod := range w.pods {
			if w.isPeer(peer, namespace, pod) {
				parties = append(parties, party{fmt.Sprintf("ip %s %s ", direction.peer, pod.Status.PodIP), pod})
			}
		}
	}
	return parties
}

func (w *world) isPeer(peer networking.NetworkPolicyPeer, namespace string, pod *core.Pod) bool {
	inside := pod.Namespace == namespace
	if peer.NamespaceSelector != nil {
		inside = selects(peer.NamespaceSelector, w.namespaces[pod.Namespace])
	}
	return inside && (peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels))
}

func portMatches(port networking.NetworkPolicyPort, owner *core.Pod) []string {
	protocol := core.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	name := strings.ToLower(string(protocol))
	switch {
	case port.Port == nil:
		return []string{"meta l4proto " + name}
	case port.EndPort != nil:
		return []string{fmt.Sprintf("%s dport %d-%d", name, port.Port.IntValue(), *port.EndPort)}
	case port.Port.StrVal == "":
		return []string{fmt.Sprintf("%s dport %d", name, port.Port.IntValue())}
	case owner == nil:
		return nil
	}
	var matches []string
	for _, container := range owner.Spec.Containers {
		for _, named := range container.Ports {
			if named.Name == port.Port.StrVal && named.Protocol == protocol {
				matches = append(matches, fmt.Sprintf("%s dport %d", name, named.ContainerPort))
			}
		}
	}
	return matches
}

func selects(selector *meta.LabelSelector, set labels.Set) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set)
}
