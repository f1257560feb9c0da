package main

// [5], [7] Records as Arrow streams.

import (
	"bytes"
	"encoding/csv"
	"errors"
	"os"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

const batchRows = 65_536

// A stream of the text columns of a CSV file, and its number of rows. An empty field is null.
func records(path, schemaName string) ([]byte, int, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, 0, errors.Join(err, errors.New("the file has no line of names"))
	}
	var fields []arrow.Field
	for _, name := range lines[0] {
		fields = append(fields, arrow.Field{Name: name, Type: arrow.BinaryTypes.String, Nullable: true})
	}
	metadata := arrow.NewMetadata([]string{"cji.schema"}, []string{schemaName})
	schema := arrow.NewSchema(fields, &metadata)
	var stream bytes.Buffer
	writer := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	for rows := range slices.Chunk(lines[1:], batchRows) {
		if err := writer.Write(batch(schema, rows)); err != nil {
			return nil, 0, err
		}
	}
	err = writer.Close()
	return stream.Bytes(), len(lines) - 1, err
}

func batch(schema *arrow.Schema, rows [][]string) arrow.Record {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for _, row := range rows {
		for i, value := range row {
			column := builder.Field(i).(*array.StringBuilder)
			if value == "" {
				column.AppendNull()
			} else {
				column.Append(value)
			}
		}
	}
	return builder.NewRecord()
}

// The rows of a table, and the table. Behind it are zeros up to the next power of two, if the job asked for them, or nothing.
func table(plain []byte, padded bool) (int, []arrow.Record, error) {
	data := bytes.NewReader(plain)
	reader, err := ipc.NewReader(data)
	if err != nil {
		return 0, nil, err
	}
	rows, batches := 0, []arrow.Record(nil)
	for reader.Next() {
		reader.Record().Retain()
		batches, rows = append(batches, reader.Record()), rows+int(reader.Record().NumRows())
	}
	end := len(plain) - data.Len()
	length := end
	if padded {
		for length = 1; length < end; length *= 2 {
		}
	}
	whole := end >= 8 && bytes.Equal(plain[end-8:end], []byte{255, 255, 255, 255, 0, 0, 0, 0})
	if reader.Err() != nil || !whole || length != len(plain) || len(bytes.Trim(plain[end:], "\x00")) > 0 {
		return 0, nil, errors.Join(reader.Err(), errors.New("the table has no end, or something behind it"))
	}
	return rows, batches, nil
}
