// Package iter stands in for Loki's of the same name. It belongs to queries, which are not measured: its iterators are empty.
package iter

import "github.com/grafana/loki/v3/pkg/logproto"

// Iterator is over samples of a pattern.
type Iterator interface{ Next() bool }

type empty struct{}

func (empty) Next() bool { return false }

// NewSlice would be over the samples.
func NewSlice(string, string, []logproto.PatternSample) Iterator { return empty{} }

// NewNonOverlappingIterator would be over all of them.
func NewNonOverlappingIterator(string, string, []Iterator) Iterator { return empty{} }
