package main

import "k8s.io/client-go/tools/cache"

// changes holds at most one token: many changes at once are one reason to look again.
type changes chan struct{}

func (c changes) kick() {
	select {
	case c <- struct{}{}:
	default:
	}
}

// onChange tells of every change that any of the informers sees.
func onChange(informers ...cache.SharedIndexInformer) changes {
	changed := make(changes, 1)
	for _, informer := range informers {
		informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { changed.kick() },
			UpdateFunc: func(any, any) { changed.kick() },
			DeleteFunc: func(any) { changed.kick() },
		})
	}
	changed.kick()
	return changed
}
