// Package logproto stands in for Loki's of the same name: the one type of it that the drain package touches.
package logproto

import "github.com/prometheus/common/model"

// PatternSample is so many lines in the interval that begins at Timestamp.
type PatternSample struct {
	Timestamp model.Time
	Value     int64
}
