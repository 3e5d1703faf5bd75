package demo

import "strings"

// column is a column of a table: a title and a width; numbers stand to the right.
type column struct {
	title   string
	width   int
	numbers bool
}

// cell is a text and its colour, "" for none.
type cell struct{ text, color string }

// heading writes the titles of the columns that fit a width.
func heading(s style, columns []column, width int) string {
	cells := make([]cell, len(columns))
	for i, c := range columns {
		cells[i].text = c.title
	}
	return s.paint(dim, strings.TrimRight(tableRow(style{}, columns, cells, width), " "))
}

// tableRow writes the cells of the columns that fit a width.
func tableRow(s style, columns []column, cells []cell, width int) string {
	var b strings.Builder
	used := 0
	for i, c := range columns {
		if used += c.width; used > width {
			break
		}
		pad := left
		if c.numbers {
			pad = right
		}
		b.WriteString(s.paint(cells[i].color, pad(cells[i].text, c.width)))
		if used++; used < width && i < len(columns)-1 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// tableWidth is the width of all columns, and the space after each.
func tableWidth(columns []column) int {
	w := 0
	for _, c := range columns {
		w += c.width + 1
	}
	return w
}
