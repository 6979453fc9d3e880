package pipeline

// Color is the identity of one of an app's two stacks. Which of them is live
// is its slot, not its color.
type Color string

// The two colors. An app's first deployment is blue.
const (
	Blue  Color = "blue"
	Green Color = "green"
)

// Other is the color on the far side.
func (c Color) Other() Color {
	if c == Blue {
		return Green
	}
	return Blue
}
