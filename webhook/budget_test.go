package webhook

import "testing"

func TestBudget_NeverLendsMoreThanItHas(t *testing.T) {
	t.Parallel()
	b := newBudget(10)
	if !b.take(6) || b.take(5) || !b.take(4) || b.take(1) {
		t.Fatal("lent more or less than 10")
	}
	b.give(6)
	if b.take(7) || !b.take(6) {
		t.Fatal("what was given back does not count")
	}
}
