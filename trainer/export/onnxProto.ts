/**
 * The part of ONNX's onnx.proto that our models use (IR version 8), with the field numbers of the standard.
 */
import protobuf from 'protobufjs';

const schema = `
syntax = "proto3";
package onnx;

message AttributeProto {
  string name = 1;
  float f = 2;
  int64 i = 3;
  bytes s = 4;
  repeated int64 ints = 8;
  int32 type = 20;
}

message NodeProto {
  repeated string input = 1;
  repeated string output = 2;
  string name = 3;
  string op_type = 4;
  repeated AttributeProto attribute = 5;
}

message TensorProto {
  repeated int64 dims = 1;
  int32 data_type = 2;
  string name = 8;
  bytes raw_data = 9;
}

message Dimension {
  oneof value {
    int64 dim_value = 1;
    string dim_param = 2;
  }
}
message TensorShapeProto { repeated Dimension dim = 1; }
message TensorTypeProto {
  int32 elem_type = 1;
  TensorShapeProto shape = 2;
}
message TypeProto { TensorTypeProto tensor_type = 1; }

message ValueInfoProto {
  string name = 1;
  TypeProto type = 2;
  string doc_string = 3;
}

message GraphProto {
  repeated NodeProto node = 1;
  string name = 2;
  repeated TensorProto initializer = 5;
  string doc_string = 10;
  repeated ValueInfoProto input = 11;
  repeated ValueInfoProto output = 12;
}

message OperatorSetIdProto {
  string domain = 1;
  int64 version = 2;
}
message StringStringEntryProto {
  string key = 1;
  string value = 2;
}
message ModelProto {
  int64 ir_version = 1;
  string producer_name = 2;
  string producer_version = 3;
  string doc_string = 6;
  GraphProto graph = 7;
  repeated OperatorSetIdProto opset_import = 8;
  repeated StringStringEntryProto metadata_props = 14;
}
`;

/** `AttributeProto.type` of the kinds that we write. */
export const attributeTypes = { f: 1, i: 2, s: 3, ints: 7 } as const;
/** `TensorProto.data_type` of float32. */
export const float32Type = 1;

export type Attribute = { readonly name: string; readonly type: number } & (
  | { readonly f: number }
  | { readonly i: number }
  | { readonly s: Uint8Array }
  | { readonly ints: readonly number[] }
);

export interface NodeProto {
  readonly name: string;
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly Attribute[];
}

export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

export interface ValueInfoProto {
  readonly name: string;
  readonly docString: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly ({ readonly dimValue: number } | { readonly dimParam: string })[] };
    };
  };
}

export interface ModelProto {
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly docString: string;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly NodeProto[];
    readonly initializer: readonly TensorProto[];
    readonly input: readonly ValueInfoProto[];
    readonly output: readonly ValueInfoProto[];
  };
}

const ModelType = protobuf.parse(schema).root.lookupType('onnx.ModelProto');

export const encodeModel = (model: ModelProto): Uint8Array => ModelType.encode(ModelType.fromObject(model)).finish();
