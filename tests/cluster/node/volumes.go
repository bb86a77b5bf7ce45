package main

// The volume provisioner: a claim that the scheduler has placed on this node gets a folder and a `local` volume on it
// (unlike hostPath, a local volume obeys fsGroup and stays on its node); a released volume is deleted with its folder.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisionerName = "fhir-operator.dev/folder"
	madeBy          = "pv.kubernetes.io/provisioned-by"
)

type provisioner struct {
	client       kubernetes.Interface
	node, folder string
}

func volumesCommand() *cobra.Command {
	var kubeconfig string
	var p provisioner
	command := &cobra.Command{Use: "volumes", Short: "provisions folders as volumes", RunE: func(command *cobra.Command, _ []string) error {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		p.client = kubernetes.NewForConfigOrDie(config)
		return p.run(command.Context())
	}}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "file that says how to reach the API")
	command.Flags().StringVar(&p.node, "node", "", "name of this node")
	command.Flags().StringVar(&p.folder, "folder", "", "folder that holds the volumes")
	return command
}

// run looks at everything again whenever a claim or a volume changes, and after a failure.
func (p *provisioner) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(p.client, 0)
	claims, volumes := factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	changed := onChange(claims.Informer(), volumes.Informer())
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for range changed {
		allClaims, _ := claims.Lister().List(labels.Everything())
		allVolumes, _ := volumes.Lister().List(labels.Everything())
		var failures []error
		for _, claim := range allClaims {
			failures = append(failures, p.provision(ctx, claim))
		}
		for _, volume := range allVolumes {
			failures = append(failures, p.reclaim(ctx, volume))
		}
		if err := errors.Join(failures...); err != nil {
			fmt.Fprintln(os.Stderr, "volumes:", err)
			time.AfterFunc(time.Second, changed.kick)
		}
	}
	return nil
}

func (p *provisioner) provision(ctx context.Context, claim *core.PersistentVolumeClaim) error {
	asked := claim.Annotations["volume.kubernetes.io/storage-provisioner"] == provisionerName
	here := claim.Annotations["volume.kubernetes.io/selected-node"] == p.node
	if claim.Status.Phase != core.ClaimPending || !asked || !here {
		return nil
	}
	name := "pvc-" + string(claim.UID)
	path := filepath.Join(p.folder, name)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// the umask has taken bits away; kubelet sets the group that a pod asks for
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	onThisNode := core.NodeSelectorTerm{MatchExpressions: []core.NodeSelectorRequirement{
		{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{p.node}},
	}}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{madeBy: provisionerName}},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      claim.Spec.Resources.Requests,
			ClaimRef:                      &core.ObjectReference{Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			NodeAffinity:                  &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{onThisNode}}},
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			StorageClassName:              *claim.Spec.StorageClassName,
		},
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p *provisioner) reclaim(ctx context.Context, volume *core.PersistentVolume) error {
	ours := volume.Annotations[madeBy] == provisionerName && volume.Spec.Local != nil && filepath.Dir(volume.Spec.Local.Path) == filepath.Clean(p.folder)
	if volume.Status.Phase != core.VolumeReleased || !ours {
		return nil
	}
	if err := os.RemoveAll(volume.Spec.Local.Path); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
