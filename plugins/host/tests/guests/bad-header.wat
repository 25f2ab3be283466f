;; Asks for a header whose name cannot be one.
;;; module
(data (i32.const 1024) "X-A\r\00\00\00\00\00\04\00\00\04\00\00\00")
;;; configure
(call $needs (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1032) (i32.const 1))
