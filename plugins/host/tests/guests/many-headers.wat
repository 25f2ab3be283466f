;; Asks for a thousand headers.
;;; configure
(call $needs (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 8192) (i32.const 1000))
